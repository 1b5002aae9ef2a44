"""MQTT: brokers that devices send to, their messages as signals, acknowledged after the commit."""
