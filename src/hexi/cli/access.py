"""``hexi account`` and ``hexi token``: who may log in, and which sources may send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from hexi.cli import common
from hexi.connectors.tokens import digest_of, new_secret
from hexi.kernel.access import Account, Token
from hexi.kernel.ports import Transaction
from hexi.kernel.text import Text
from hexi.web.access.passwords import hash_password
from hexi.web.access.permissions import ROLES

SCOPES = ("signals", "acts", "drill", "api", *(f"api:{role}" for role in ROLES))

account = typer.Typer(no_args_is_help=True, help="Accounts of people who log in.")
token = typer.Typer(no_args_is_help=True, help="Tokens of sources that send signals.")

Stdin = Annotated[bool, typer.Option("--stdin", help="Read the password from standard input.")]
Login = Annotated[str, typer.Argument(help="The name to log in with.")]


def register(app: typer.Typer) -> None:
    """Add both groups."""
    app.add_typer(account, name="account")
    app.add_typer(token, name="token")


@account.command("add")
def add_account(
    login: Login,
    name: Annotated[str | None, typer.Option(help="The name others see.")] = None,
    role: Annotated[str, typer.Option(help=f"One of {', '.join(ROLES)}.")] = "admin",
    place: Annotated[
        str | None, typer.Option(help="Code of the street or community it is limited to.")
    ] = None,
    person: Annotated[str | None, typer.Option(help="Id of the person's record.")] = None,
    stdin: Stdin = False,
) -> None:
    """Add someone who may log in; the first one is the administrator. The password is asked for."""
    if role not in ROLES:
        known = ", ".join(ROLES)
        raise common.Fault(f"没有角色 {role}；有：{known}", f"there is no role {role}; there are {known}")
    hashed = _hash(stdin=stdin)
    with common.installation() as (_, _catalogue, store), store.write() as tx:
        if tx.access.account(login):
            raise common.Fault(
                f"账号 {login} 已存在；改密码用 hexi account reset",
                f"the account {login} exists; hexi account reset changes its password",
            )
        tx.access.put_account(
            Account(login=login, name=name or login, hash=hashed, role=role, place=place, person=person)
        )
    common.say(f"已添加账号 {login}（{role}）", f"added the account {login} ({role})")


@account.command("reset")
def reset_account(login: Login, stdin: Stdin = False) -> None:
    """Give an account a new password; it may log in again if it was locked. Its sessions end."""
    hashed = _hash(stdin=stdin)
    with common.installation() as (_, _catalogue, store), store.write() as tx:
        known = _account(tx, login)
        tx.access.put_account(msgspec.structs.replace(known, hash=hashed, active=True))
        tx.access.end_sessions(login)
    common.say(f"{login} 的密码已更改", f"the password of {login} was changed")


@account.command("lock")
def lock_account(login: Login) -> None:
    """Lock an account: it may not log in until its password is reset."""
    with common.installation() as (_, _catalogue, store), store.write() as tx:
        tx.access.put_account(msgspec.structs.replace(_account(tx, login), active=False))
        tx.access.end_sessions(login)
    common.say(f"{login} 已停用", f"{login} is locked")


@account.command("list")
def list_accounts(as_json: common.AsJson = False) -> None:
    """List the accounts."""
    with common.installation() as (_, _catalogue, store), store.read() as tx:
        accounts = tx.access.accounts()
    fields = ("login", "role", "place", "name", "person", "active")
    _list(accounts, fields, Text(zh="（已停用）", en="(locked)"), as_json=as_json)


def _list(found: Sequence[Account | Token], fields: Sequence[str], off: Text, *, as_json: bool) -> None:
    """Print some fields of each, the last of which says whether it is active."""
    rows = [{name: getattr(one, name) for name in fields} for one in found]
    if as_json:
        common.print_json(rows)
        return
    for row in rows:
        *told, active = row.values()
        cells = [",".join(cell) if isinstance(cell, tuple) else cell or "" for cell in told]
        state = "" if active else common.words(off)
        common.out.print(*cells, state, markup=False, highlight=False)


def _account(tx: Transaction, login: str) -> Account:
    known = tx.access.account(login)
    if known is None:
        raise common.Fault(f"没有账号 {login}", f"there is no account {login}")
    return known


def _hash(*, stdin: bool) -> str:
    try:
        return hash_password(common.ask_secret("密码", "password", stdin=stdin))
    except ValueError as error:
        zh, _, en = str(error).partition(" / ")
        raise common.Fault(zh, en) from error


@token.command("add")
def add_token(
    name: Annotated[str, typer.Argument(help="Name of the sender, such as gateway-1.")],
    source: Annotated[
        list[str] | None,
        typer.Option(help="A CloudEvents source it may name, * as wildcard; may be repeated."),
    ] = None,
    scope: Annotated[
        str, typer.Option(help="signals, acts, drill, api or api:<role>; separated by spaces.")
    ] = "signals",
) -> None:
    """Make a token and print its secret, this once; a token of that name is replaced."""
    unknown = sorted(set(scope.split()) - set(SCOPES))
    if unknown or not scope.split():
        raise common.Fault(f"权限应为 {' '.join(SCOPES)}", f"a scope is one of {', '.join(SCOPES)}")
    secret = new_secret()
    kept = Token(name=name, hash=digest_of(secret), sources=tuple(source or ["*"]), scope=scope)
    with common.installation() as (_, _catalogue, store), store.write() as tx:
        tx.access.put_token(kept)
    common.warn(Text(zh="密钥只显示这一次：", en="the secret is shown only this once:"))
    typer.echo(secret)


@token.command("revoke")
def revoke_token(name: Annotated[str, typer.Argument(help="Name of the token.")]) -> None:
    """Withdraw a token; its sender is refused within seconds."""
    with common.installation() as (_, _catalogue, store), store.write() as tx:
        known = next((t for t in tx.access.tokens() if t.name == name), None)
        if known is None:
            raise common.Fault(f"没有令牌 {name}", f"there is no token {name}")
        tx.access.put_token(msgspec.structs.replace(known, active=False))
    common.say(f"令牌 {name} 已撤销", f"the token {name} is revoked")


@token.command("list")
def list_tokens(as_json: common.AsJson = False) -> None:
    """List the tokens, without their secrets."""
    with common.installation() as (_, _catalogue, store), store.read() as tx:
        tokens = tx.access.tokens()
    fields = ("name", "scope", "sources", "active")
    _list(tokens, fields, Text(zh="（已撤销）", en="(revoked)"), as_json=as_json)
