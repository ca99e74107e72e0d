"""Signing in, on both databases: by password, refresh token and client; what is refused, locked out and throttled."""

from __future__ import annotations

from tests.control import PASSWORD, open_control


async def test_smoke(database_url: str) -> None:
    async with open_control(database_url) as control:
        admin = await control.signed_in()
        print(admin.tokens)
        for route in control.routing.routes:
            if route.method == "GET" and "{" not in route.path:
                answer = await admin.ask("GET", route.path)
                print(route.path, answer.status_code, answer.text[:3000])
                assert answer.status_code == 200
