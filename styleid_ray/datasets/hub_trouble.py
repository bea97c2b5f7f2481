"""Why the Hugging Face hub cannot be used, with remedies."""

from collections.abc import Iterator, Sequence

from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)

from styleid_ray.errors import ConfigError, JobError, OutputError, first_line
from styleid_ray.storage.locations import shown
from styleid_ray.storage.secrets import scrubbed

_NETWORK = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3"}
_MOST_DETAIL = 300
_AGAIN = "run the same command again to resume"
_REFUSALS = {
    401: "{hub} does not accept the token: log in again with `hf auth login`, or set HF_TOKEN to a "
    "valid one",
    403: "{hub} refuses to write to {hub_id} ({detail}): use a token with write access to it "
    "({hub}/settings/tokens), or another name for --push-to",
    404: "{hub} has no dataset {hub_id} that the token gives access to: check --push-to and "
    "HF_ENDPOINT",
}
"""Messages by the hub's status code, for requests that fail again unless the user changes
something."""


def hub_trouble(error: Exception, hub_id: str, endpoint: str, token: str | None) -> JobError:
    """One line for an error of a request, without tokens and signatures.

    Args:
        error: from huggingface_hub or from below it.
        hub_id: OWNER/NAME of the dataset.
        endpoint: address of the hub.
        token: sent with the request.
    """
    causes, hub = list(_causes(error)), shown(endpoint)
    detail = _detail(causes, token)
    answer = next((c for c in causes if isinstance(c, HfHubHTTPError)), None)
    status = answer.response.status_code if answer is not None else None
    if isinstance(error, LocalTokenNotFoundError):
        return ConfigError(
            "--push-to needs a token of the Hugging Face hub: log in with `hf auth login`, or set "
            "HF_TOKEN"
        )
    if isinstance(error, OfflineModeIsEnabled):
        return ConfigError("--push-to needs the hub: unset HF_HUB_OFFLINE")
    if status in _REFUSALS:
        return ConfigError(_REFUSALS[status].format(hub=hub, hub_id=hub_id, detail=detail))
    if status == 429:
        return OutputError(f"{hub} limits the rate of requests ({detail}): wait, then {_AGAIN}")
    if status is not None:
        return OutputError(f"{hub} answered with status {status} ({detail}): {_AGAIN}")
    if any(map(_is_network, causes)):
        return OutputError(
            f"no connection to {hub} ({detail}): check the network and HF_ENDPOINT, then {_AGAIN}"
        )
    return OutputError(f"publishing to {hub_id} failed ({detail}): {_AGAIN}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes, outermost first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _detail(causes: Sequence[BaseException], token: str | None) -> str:
    """The reason, in the hub's words where it gives one."""
    messages = (getattr(cause, "server_message", None) for cause in causes)
    text = next(filter(None, messages), None) or first_line(causes[-1])
    text = scrubbed(" ".join(text.split()), {"token": token})
    return shown(text)[:_MOST_DETAIL].rstrip(".")


def _is_network(error: BaseException) -> bool:
    module = type(error).__module__.partition(".")[0]
    return module in _NETWORK or isinstance(error, (ConnectionError, TimeoutError))
