"""``hexi erase``: personal data goes, the cases stay."""

from __future__ import annotations

from typing import Annotated

import typer

from hexi.cli import common
from hexi.kernel.access import Look
from hexi.kernel.record import ref_of
from hexi.kernel.text import Text
from hexi.spine.erase import Erasure, OpenCaseError, erase_person

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(erase, name="erase")


erase = typer.Typer(no_args_is_help=True, help="Erase personal data; cases and numbers stay.")


@erase.callback()
def _group() -> None:
    """Erase personal data; cases and numbers stay."""


@erase.command("person")
def erase_one(
    person: Annotated[str, typer.Argument(help="Id of the person, such as E00001.")],
    yes: Yes = False,
    as_json: common.AsJson = False,
) -> None:
    """Erase a person, their contacts, and the words of their ended cases, for good."""
    _confirm(
        yes,
        f"{person} 的资料、联系人和已结案件中的文字将永久删除，无法恢复。继续？",
        f"The data of {person}, their contacts and the words of their ended cases go for good. Go on?",
    )
    with common.installation() as (_, catalogue, store), store.write() as tx:
        try:
            done = erase_person(tx, catalogue.record_kinds, person, "user:cli", common.now())
        except KeyError as error:
            raise common.Fault(f"没有人员 {person}", f"there is no person {person}") from error
        except OpenCaseError as error:
            raise common.Fault(
                f"{person} 还有未结的案件：{error}", f"{person} has open cases: {error}", common.FAILED
            ) from error
    if as_json:
        common.print_json(done)
    else:
        _tell(done)


@erase.command("record")
def erase_record(
    kind: Annotated[str, typer.Argument(help="Kind of record: contact, note ...")],
    identity: Annotated[str, typer.Argument(metavar="ID", help="Its id; it may be deleted already.")],
    yes: Yes = False,
) -> None:
    """Empty every version of one record, such as a contact that was deleted, for good."""
    _confirm(
        yes,
        f"{kind}:{identity} 的所有版本将永久清空，无法恢复。继续？",
        f"Every version of {kind}:{identity} is emptied for good. Go on?",
    )
    look = Look(at=common.now(), by="user:cli", record=ref_of(kind, identity), what="erased")
    with common.installation() as (_, _catalogue, store), store.write() as tx:
        versions = tx.records.erase(kind, identity)
        if not versions:
            raise common.Fault(f"没有记录 {kind}:{identity}", f"there is no record {kind}:{identity}")
        tx.access.looked(look)
    common.say(f"已清空 {versions} 个版本", f"emptied {versions} versions")


def _confirm(yes: bool, zh: str, en: str) -> None:
    if not yes and not typer.confirm(common.words(Text(zh=zh, en=en))):
        raise common.Fault("没有删除任何内容", "nothing was erased")


def _tell(done: Erasure) -> None:
    common.say(
        f"已删除 {done.person}：{done.versions} 个版本、{len(done.contacts)} 位联系人、{done.notes} 条备注、"
        f"{done.notices} 条通知的内容、{done.signals} 个信号的内容；{len(done.cases)} 件案件保留",
        f"erased {done.person}: {done.versions} versions, {len(done.contacts)} contacts, {done.notes} notes, "
        f"the words of {done.notices} notices, the data of {done.signals} signals; "
        f"{len(done.cases)} cases stay",
    )
    for device in done.devices:
        common.say(f"设备 {device} 不再有使用人", f"the device {device} has no owner any more")
    for file in done.files:
        common.say(f"证据文件保留：{file}", f"an evidence file stays: {file}")
    for name in done.named_by:
        common.warn(Text(zh=f"{name} 仍写着 {done.person}", en=f"{name} still names {done.person}"))
