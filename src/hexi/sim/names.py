"""Made-up names: people, estates, notes. Any likeness to a real person or address is chance."""

from __future__ import annotations

from random import Random

SURNAMES = tuple(
    "王王王李李李张张张刘刘刘陈陈杨杨赵赵黄周吴徐孙马胡朱郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_ELDER_FIRST = {"female": tuple("秀桂玉淑凤兰素惠翠月瑞金"), "male": tuple("建国德志文永庆振树福长学")}
_ELDER_LAST = {"female": tuple("英兰珍芬芳华琴云梅荣霞敏"), "male": tuple("国华民强生林山海忠贵明义")}
_YOUNG = {
    "female": ("丽", "静", "敏", "燕", "娟", "红梅", "晓琳", "雪", "倩", "颖", "佳怡", "慧"),
    "male": ("伟", "磊", "涛", "强", "鹏", "军", "志远", "浩", "斌", "晨", "俊杰", "明"),
}
_ESTATE_FIRST = tuple("锦瑞福康宁和安泰祥嘉永春秋明清雅静荣华兴")
_ESTATE_LAST = tuple("和安园泽庭林苑湖岸景溪川源欣悦棠枫松柏兰")
_ESTATE_END = ("里", "花园", "公寓", "新苑", "名邸", "家园")

MEDICAL_NOTES = (
    "高血压，长期服用降压药",
    "2 型糖尿病，注射胰岛素，随身带糖块",
    "冠心病，放过支架，床头有硝酸甘油",
    "脑卒中后左侧肢体活动不便",
    "膝关节置换术后，需助行器",
    "慢阻肺，家中有制氧机",
    "听力减退，需大声说话或敲门",
    "轻度认知障碍，可能走失",
    "帕金森病，起步慢，易跌倒",
    "骨质疏松，曾髋部骨折",
    "房颤，服用抗凝药，出血不易止",
    "视力减退，青光眼",
)


def elder_name(random: Random, gender: str) -> str:
    """A name as people born before 1966 bear it."""
    return random.choice(SURNAMES) + random.choice(_ELDER_FIRST[gender]) + random.choice(_ELDER_LAST[gender])


def younger_name(random: Random, gender: str, surname: str | None = None) -> str:
    """A name of the next generation, with a given surname or any."""
    return (surname or random.choice(SURNAMES)) + random.choice(_YOUNG[gender])


def estate_names(random: Random, count: int) -> list[str]:
    """Different names for housing estates, in a random order."""
    every = [a + b + end for a in _ESTATE_FIRST for b in _ESTATE_LAST for end in _ESTATE_END if a != b]
    random.shuffle(every)
    return every[:count]


def phone(number: int) -> str:
    """A telephone number that cannot exist: two digits longer than the national plan allows."""
    return f"+861990000{number:06d}"
