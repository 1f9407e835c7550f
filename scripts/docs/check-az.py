"""Runs az commands without a sign-in and without a network, until the first request that would change something.

Reads a JSON list of argument lists from stdin; writes a JSON list with the problem of each, or null. Reads are answered
with an empty resource, because some commands validate their arguments only after one.
"""

import contextlib
import io
import json
import sys
import time

import requests
from azure.cli.core import AzCli, get_default_cli
from azure.cli.core._profile import Profile
from azure.cli.core.azclierror import (
    ArgumentUsageError,
    MutuallyExclusiveArgumentError,
    RequiredArgumentMissingError,
    UnrecognizedArgumentError,
)
from azure.cli.core.parser import IncorrectUsageError
from azure.core.credentials import AccessToken, AccessTokenInfo
from knack.util import CLIError

ID = "00000000-0000-4000-8000-000000000000"
EXPIRY = 4102444800
SUBSCRIPTION = {
    "id": ID,
    "name": "subscription",
    "state": "Enabled",
    "isDefault": True,
    "tenantId": ID,
    "environmentName": "AzureCloud",
    "user": {"name": "user", "type": "user"},
}
RESOURCE = {"id": f"/subscriptions/{ID}/resourceGroups/g", "name": "g", "location": "westeurope", "value": []}


USAGE_ERRORS = (
    ArgumentUsageError,
    IncorrectUsageError,
    MutuallyExclusiveArgumentError,
    RequiredArgumentMissingError,
    UnrecognizedArgumentError,
)


class RequestSent(BaseException):
    """Not an Exception, so that no handler of Azure CLI takes it for a failure."""


class Credential:
    def get_token(self, *_scopes, **_kwargs):
        return AccessToken("token", EXPIRY)

    def get_token_info(self, *_scopes, **_kwargs):
        return AccessTokenInfo("token", EXPIRY)

    acquire_token = get_token


answered = 0
failure = None


def send(_session, request, **_kwargs):
    global answered
    if request.method not in ("GET", "HEAD"):
        raise RequestSent
    answered += 1
    # Suggestions for misspelled commands come from another service.
    is_azure = request.url.startswith(("https://management.azure.com/", "https://graph.microsoft.com/"))
    response = requests.Response()
    response.status_code = 200 if is_azure else 404
    response.headers["Content-Type"] = "application/json"
    response.raw = io.BytesIO(json.dumps(RESOURCE).encode())
    response.request = request
    response.url = request.url
    return response


def stop(*_args, **_kwargs):
    raise RequestSent


handle = AzCli.exception_handler


def remember(self, error):
    global failure
    failure = error
    return handle(self, error)


AzCli.exception_handler = remember
requests.Session.send = send
# Commands with --wait poll until something changes.
time.sleep = stop
Profile.get_login_credentials = lambda *_, **__: (Credential(), ID, ID)
Profile.get_raw_token = lambda *_, **__: (("Bearer", "token", {}), ID, ID)
Profile.get_subscription = lambda *_, **__: SUBSCRIPTION
Profile.get_subscription_id = lambda *_, **__: ID
Profile.load_cached_subscriptions = lambda *_, **__: [SUBSCRIPTION]
Profile.login = stop
Profile.logout = stop


def find_problem(arguments):
    global answered, failure
    answered, failure = 0, None
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            code = get_default_cli().invoke(arguments, out_file=io.StringIO())
    except RequestSent:
        return None
    except SystemExit as exited:
        code = exited.code
    # The arguments were accepted if the code of the command failed, or stumbled over an empty resource.
    if failure is not None and not isinstance(failure, CLIError):
        return None
    if code == 0 or (answered > 0 and not isinstance(failure, USAGE_ERRORS)):
        return None
    return str(failure or errors.getvalue().strip() or f"exit code {code}")[:400]



json.dump([find_problem(arguments) for arguments in json.load(sys.stdin)], sys.stdout)
