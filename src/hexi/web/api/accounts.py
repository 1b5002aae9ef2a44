"""Accounts of people and tokens of programs."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import get, put
from litestar.params import FromPath, JSONBody

from hexi.connectors.problem import FieldFault, ProblemError
from hexi.connectors.tokens import digest_of, new_secret
from hexi.kernel.access import Account, Token
from hexi.kernel.ports import Transaction
from hexi.kernel.text import Text
from hexi.web.access.guards import Call, may, platform_of
from hexi.web.access.passwords import hash_password
from hexi.web.access.permissions import ROLES, Permission
from hexi.web.access.sessions import read_cookie

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class AccountView(msgspec.Struct, kw_only=True):
    """An account without its secret."""

    login: str
    name: str
    role: str
    place: str | None
    person: str | None
    active: bool


class AccountBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What an account becomes; without ``password`` the present one stays."""

    name: _Name
    role: str
    password: str | None = None
    place: str | None = None
    person: str | None = None
    active: bool = True


class TokenView(msgspec.Struct, kw_only=True):
    """A token without its secret."""

    name: str
    sources: tuple[str, ...]
    scope: str
    active: bool


class TokenBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a token may do: ``signals``, ``acts``, ``drill``, ``api``, ``api:<role>``; spaces between."""

    sources: tuple[_Name, ...] = ("*",)
    scope: _Name = "signals"
    active: bool = True
    renew: bool = False


class TokenMade(msgspec.Struct, kw_only=True):
    """A token; ``secret`` is shown this once, when it is new or renewed."""

    name: str
    secret: str | None


def _view(account: Account) -> AccountView:
    return AccountView(
        login=account.login,
        name=account.name,
        role=account.role,
        place=account.place,
        person=account.person,
        active=account.active,
    )


@get("/accounts", guards=may(Permission.ACCOUNT_EDIT), sync_to_thread=True, summary="All accounts")
def list_accounts(request: Call) -> list[AccountView]:
    """All accounts by login."""
    with platform_of(request).store.read() as tx:
        return [_view(account) for account in tx.access.accounts()]


@put("/accounts/{login:str}", guards=may(Permission.ACCOUNT_EDIT), summary="Add or change an account")
async def put_account(request: Call, login: FromPath[str], data: JSONBody[AccountBody]) -> AccountView:
    """Add or change an account; a change counts at once. A new password ends its other sessions."""
    if data.role not in ROLES:
        roles = ", ".join(ROLES)
        raise ProblemError(
            "invalid", errors=[FieldFault("/role", Text(zh=f"应为 {roles}", en=f"one of {roles}"))]
        )
    hashed = await _hash(data.password) if data.password is not None else None
    secret = read_cookie(request.headers.get("cookie", ""))
    own = digest_of(secret) if secret else None

    def change(tx: Transaction) -> Account:
        present = tx.access.account(login)
        stored = hashed or (present.hash if present else None)
        if stored is None:
            raise ProblemError("invalid", errors=[FieldFault("/password", Text(zh="必填", en="is required"))])
        fields = msgspec.structs.asdict(data)
        del fields["password"]
        account = Account(login=login, hash=stored, **fields)
        tx.access.put_account(account)
        if hashed or not account.active:
            tx.access.end_sessions(login, own)
        return account

    account = await platform_of(request).intake.call(change)
    request.app.state.sessions.forget()
    return _view(account)


async def _hash(password: str) -> str:
    try:
        return await asyncio.to_thread(hash_password, password)
    except ValueError as error:
        zh, _, en = str(error).partition(" / ")
        raise ProblemError("invalid", errors=[FieldFault("/password", Text(zh=zh, en=en))]) from error


@get("/tokens", guards=may(Permission.ACCOUNT_EDIT), sync_to_thread=True, summary="All tokens")
def list_tokens(request: Call) -> list[TokenView]:
    """All tokens by name, without their secrets."""
    with platform_of(request).store.read() as tx:
        return [
            TokenView(name=t.name, sources=t.sources, scope=t.scope, active=t.active)
            for t in tx.access.tokens()
        ]


@put("/tokens/{name:str}", guards=may(Permission.ACCOUNT_EDIT), summary="Add or change a token")
async def put_token(request: Call, name: FromPath[str], data: JSONBody[TokenBody]) -> TokenMade:
    """Add or change a token; a new or renewed one gets a new secret."""
    secret = new_secret()

    def change(tx: Transaction) -> bool:
        present = next((t for t in tx.access.tokens() if t.name == name), None)
        fresh = present is None or data.renew
        digest = digest_of(secret) if fresh or present is None else present.hash
        tx.access.put_token(
            Token(name=name, hash=digest, sources=data.sources, scope=data.scope, active=data.active)
        )
        return fresh

    fresh = await platform_of(request).intake.call(change)
    return TokenMade(name=name, secret=secret if fresh else None)


ROUTES: list[Any] = [list_accounts, put_account, list_tokens, put_token]
