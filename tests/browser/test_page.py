"""The page at / in a real browser: drop a picture, see the answer. Needs chromium on the PATH (`make browser`)."""

import base64
import contextlib
import io
import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

import onnx_bundle
from autotrain_server.app import create_app
from autotrain_server.model import Model
from autotrain_server.settings import Settings

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Address of a server over that bundle."""
    model = Model(folder)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(Settings(bundle=str(folder)), model), log_config=None))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served") / "bundle"
    onnx_bundle.write_bundle(folder)
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    assert path, f"no browser: install one of {', '.join(NAMES)} (`make browser`)"
    browser = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
    yield browser
    browser.close()


@contextlib.contextmanager
def opened(browser: Browser, address: str, size: tuple[int, int], shot: str) -> Iterator[Page]:
    """The loaded page; its console must stay quiet and its requests at home."""
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(10_000)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda sent: asked.append(sent.url))
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_have_text("colours")
    yield page
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{shot}.png", full_page=True)
    context.close()
    assert [line for line in said if not re.search("status of (415|503)", line)] == []
    assert [url for url in asked if not url.startswith((address, "blob:", "data:"))] == []


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    with opened(browser, address, SIZES[request.param], request.node.name) as page:
        yield page


def drop(page: Page, *files: tuple[str, str, bytes]) -> None:
    """What a browser sends to the page when files are dropped on it."""
    page.evaluate(
        """files => {
            const dropped = new DataTransfer();
            for (const [name, type, content] of files)
                dropped.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt(0))], name, {type}));
            const target = document.getElementById("drop");
            for (const kind of ["dragenter", "dragover", "drop"])
                target.dispatchEvent(new DragEvent(kind, {dataTransfer: dropped, bubbles: true, cancelable: true}));
        }""",
        [[name, kind, base64.b64encode(content).decode()] for name, kind, content in files],
    )


RED = ("red.png", "image/png", onnx_bundle.picture("red"))
BLUE = ("blue.jpg", "image/jpeg", onnx_bundle.picture("blue", "JPEG"))


def test_dropped_pictures_get_their_answers(page: Page):
    drop(page, RED, BLUE)

    answers = page.get_by_role("list", name="Answers").get_by_role("listitem")
    expect(answers).to_have_count(2)
    expect(answers.filter(has=page.get_by_alt_text("red.png"))).to_contain_text(re.compile("red.*%"))
    expect(answers.filter(has=page.get_by_alt_text("blue.jpg"))).to_contain_text(re.compile("blue.*%"))


def test_what_is_no_picture_gets_the_reason(page: Page):
    drop(page, ("letter.png", "image/png", b"Dear"))

    expect(page.get_by_role("listitem")).to_contain_text("NotAnImage: the data is not a picture")


def test_the_keyboard_reaches_the_picker_first(page: Page):
    name, kind, content = RED
    files = [{"name": name, "mimeType": kind, "buffer": content}]
    page.on("filechooser", lambda chooser: chooser.set_files(files))
    page.bring_to_front()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Pictures to ask about")).to_be_focused()
    page.keyboard.press("Space")

    expect(page.get_by_role("listitem")).to_contain_text("red")


def test_the_model_s_facts_and_plots_are_shown(page: Page):
    expect(page.locator("#facts")).to_contain_text("0.9000 (95 % interval 0.8300 to 0.9400, 100 pictures)")
    expect(page.get_by_alt_text("loss")).to_be_visible()


def test_nothing_is_wider_than_the_screen(page: Page):
    drop(page, RED)
    expect(page.get_by_role("listitem")).to_have_count(1)

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_api_is_described_without_asking_anybody_else(page: Page, address: str):
    page.goto(f"{address}docs")
    expect(page.get_by_role("heading", name="POST /validate", exact=True)).to_be_visible()
    expect(page.get_by_text("curl -F img=@picture.jpg").first).to_be_visible()


@pytest.mark.parametrize("size", SIZES)
def test_boxes_are_drawn_over_the_picture_and_listed(browser: Browser, tmp_path: Path, size: str):
    onnx_bundle.write_detector(tmp_path / "bundle")
    with served(tmp_path / "bundle") as address, opened(browser, address, SIZES[size], f"boxes-{size}") as page:
        drop(page, RED)  # 64 x 48: two pixels of it are one of the network's, above and below are four rows of padding
        item = page.get_by_role("listitem")

        expect(item).to_contain_text("1 \u00d7 red, 1 \u00d7 blue")
        expect(item.locator(".row")).to_have_count(2)
        assert item.locator("svg").get_attribute("viewBox") == "0 0 64 48"
        frames = [
            [box.get_attribute(side) for side in ("x", "y", "width", "height")] for box in item.locator("rect").all()
        ]
        assert sorted(frames) == [["24", "16", "32", "32"], ["8", "0", "32", "32"]]
        over = item.locator("svg").bounding_box()
        assert over == item.locator("img").bounding_box()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("size", SIZES)
def test_masks_lie_over_the_picture_with_their_legend(browser: Browser, tmp_path: Path, size: str):
    onnx_bundle.write_segmenter(tmp_path / "bundle")
    with served(tmp_path / "bundle") as address, opened(browser, address, SIZES[size], f"masks-{size}") as page:
        half = Image.new("RGB", (64, 48), "blue")
        half.paste("red", (0, 0, 32, 48))
        file = io.BytesIO()
        half.save(file, "PNG")
        drop(page, ("half.png", "image/png", file.getvalue()), BLUE)
        item = page.get_by_role("listitem").filter(has=page.get_by_alt_text("half.png"))

        expect(item).to_contain_text(re.compile("roof.*50.0 %"))
        expect(page.get_by_role("listitem").filter(has=page.get_by_alt_text("blue.jpg"))).to_contain_text(
            "only background"
        )
        row = "node => [...node.getContext('2d').getImageData(0, 24, 64, 1).data]"
        assert item.locator("canvas").evaluate(row) == [128, 0, 0, 255] * 32 + [0, 0, 0, 0] * 32
        assert item.locator(".swatch").evaluate("node => getComputedStyle(node).backgroundColor") == "rgb(128, 0, 0)"
