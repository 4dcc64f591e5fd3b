"""Verifies an access token with PyJWT and the published keys.

Arguments: the URL of platform-api, the access token, its issuer, the account's id.
"""

import json
import sys
import urllib.request

import jwt

url, token, issuer, account = sys.argv[1:]
with urllib.request.urlopen(f"{url}/.well-known/jwks.json", timeout=60) as answer:
    keys = jwt.PyJWKSet.from_dict(json.load(answer))
key = keys[jwt.get_unverified_header(token)["kid"]]
accepted = dict(algorithms=["EdDSA"], audience="voltgate-platform", issuer=issuer)
claims = jwt.decode(token, key, **accepted, options={"require": ["exp", "iat", "iss", "aud", "sub", "sid"]})
assert claims["sub"] == account, claims

head, body, signature = token.split(".")
changed = ".".join([head, body, ("B" if signature[0] == "A" else "A") + signature[1:]])
for wrong, options in ((changed, accepted), (token, {**accepted, "audience": "another"}), (token, {**accepted, "issuer": "x"})):
    try:
        jwt.decode(wrong, key, **options)
        raise SystemExit("a wrong token is accepted")
    except jwt.InvalidTokenError:
        pass
print("done")
