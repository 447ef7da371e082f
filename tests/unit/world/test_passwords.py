"""Secrets inside of a kubeconfig or of Docker's configuration."""

from __future__ import annotations

import json

from codexctl_tasks.world.passwords import passwords_in

KUBECONFIG = """
clusters: [{name: c, cluster: {server: "https://c", certificate-authority-data: cHVibGlj}}]
users:
  - {name: a, user: {token: t0ken, client-certificate-data: cHVibGlj, client-key-data: a2V5IQ==}}
  - {name: b, user: {username: bob, password: 4711}}
  - name: c
    user: {auth-provider: {name: oidc, config: {refresh-token: refr3sh, client-id: public}}}
  - name: d
    user:
      exec:
        command: aws
        env:
          - {name: AWS_PROFILE, value: staging}
          - {name: AWS_SECRET_ACCESS_KEY, value: from-env}
  - {name: e, user: {token: , auth-provider: {config: {use-token: false}}}}
"""


def test_what_is_secret_in_a_kubeconfig() -> None:
    """Tokens, passwords and keys, these as text as well; names and profiles stay readable."""
    assert set(passwords_in(KUBECONFIG)) == {
        *("t0ken", "a2V5IQ==", "key!", "4711", "refr3sh", "from-env"),
    }


def test_what_is_secret_in_a_login() -> None:
    """The pair in base64, the pair itself, and the password."""
    logins = {
        "auths": {"registry.example.com": {"auth": "Y2k6aHVudGVyMg=="}, "b": {"identitytoken": "i"}}
    }
    assert set(passwords_in(json.dumps(logins))) == {
        *("Y2k6aHVudGVyMg==", "ci:hunter2", "hunter2", "i"),
    }


def test_what_cannot_be_read_holds_nothing() -> None:
    """Whoever needs the document says what is wrong with it."""
    for text in ("{", "", "just text", "- 1"):
        assert list(passwords_in(text)) == []
