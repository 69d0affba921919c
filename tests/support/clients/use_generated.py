"""What a client of a leaderboard does, by the package `generated` that openapi-python-client has made of the contract.

    python use_generated.py FOLDER URL BOARD

Prints one JSON object of what was answered.
"""

import json
import sys
from importlib import import_module
from typing import Any

import httpx


def main(folder: str, url: str, board: str) -> None:
    sys.path.insert(0, folder)
    client = import_module("generated").Client(base_url=url)

    def operation(tag: str, name: str) -> Any:
        return import_module(f"generated.api.{tag}.{name}").sync_detailed

    def model(name: str) -> Any:
        return getattr(import_module("generated.models"), name)

    get_rankings = operation("rankings", "get_rankings")
    pages: list[Any] = []
    more: dict[str, Any] = {}
    while True:
        page = get_rankings(board, client=client, limit=10, **more).parsed
        pages.append([[one.rank, one.user_id, one.score, one.top_percent] for one in page.entries])
        if page.next_cursor is None:
            break
        more = {"cursor": page.next_cursor}
    country = model("GetRankingsAttributes").from_dict({"attr.country": "DE"})
    friends = get_rankings(board, client=client, user_ids=["p1", "p,2"]).parsed
    german = get_rankings(board, client=client, attributes=country).parsed
    player = operation("rankings", "get_player")(id=board, user_id="p5", client=client, context=1).parsed
    exported = operation("exports", "start_export")
    answer = exported(board, client=client, prefer="wait=20")
    while answer.status_code == 202:
        answer = exported(board, client=client, prefer="wait=20")
    lines = httpx.get(answer.headers["location"]).text.splitlines()
    missing = operation("rankings", "get_player")(id=board, user_id="nobody", client=client)
    print(
        json.dumps(
            {
                "pages": pages,
                "friends": [one.user_id for one in friends.entries],
                "german": [one.user_id for one in german.entries],
                "player": [player.player.rank, player.above[0].user_id, player.below[0].user_id],
                "lines": len(lines),
                "error": [int(missing.status_code), missing.parsed.type_, missing.parsed.title],
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
