"""The races: hexi beside Node-RED, Home Assistant, Alertmanager, Zabbix and the bare limits."""
