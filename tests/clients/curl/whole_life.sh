#!/usr/bin/env bash
# The whole life of a secret through curl. Knows Key Vault's REST API, the variables that its clients read, and no more.
set -euo pipefail

vault=$AZURE_KEYVAULT_URL
api='api-version=7.6'
name="life-$$-$RANDOM"
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# field NAME: a text field of the last answer
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$answer"; }

fail() {
  echo "$1" >&2
  cat "$answer" >&2
  exit 1
}

# call STATUS METHOD PATH [BODY]: one request, which must end in this status
call() {
  local wanted=$1 method=$2 path=$3 body=${4-} got
  local arguments=(--silent --show-error --output "$answer" --write-out '%{http_code}' --request "$method")
  [ -z "${token-}" ] || arguments+=(--header "Authorization: Bearer $token")
  if [ -n "$body" ]; then
    arguments+=(--header 'Content-Type: application/json' --data-binary "$body")
  elif [ "$method" != GET ]; then
    arguments+=(--header 'Content-Length: 0')
  fi
  got=$(curl "${arguments[@]}" "$vault$path")
  [ "$got" = "$wanted" ] || fail "$method $path: $got instead of $wanted"
}

# where to sign in, and for what, is in the challenge
call 401 GET "/secrets/$name?$api"
challenge=$(curl --silent --show-error --output /dev/null --dump-header - "$vault/secrets/$name?$api" |
  tr -d '\r' | sed -n 's/^www-authenticate: Bearer //Ip')
authority=$(sed -n 's/.*authorization="\([^"]*\)".*/\1/p' <<<"$challenge")
resource=$(sed -n 's/.*resource="\([^"]*\)".*/\1/p' <<<"$challenge")
curl --silent --show-error --fail-with-body --output "$answer" "$authority/oauth2/v2.0/token" \
  --data-urlencode grant_type=client_credentials \
  --data-urlencode "client_id=$AZURE_CLIENT_ID" \
  --data-urlencode "client_secret=$AZURE_CLIENT_SECRET" \
  --data-urlencode "scope=$resource/.default"
token=$(field access_token)
[ -n "$token" ] || fail 'no token'

call 200 PUT "/secrets/$name?$api" '{"value":"first","tags":{"kind":"test"}}'
first=$(field id)
[ "${first#"$vault/secrets/$name/"}" != "$first" ] || fail 'the id is not below the vault'
call 200 PUT "/secrets/$name?$api" '{"value":"second"}'
second=$(field id)
[ "$first" != "$second" ] || fail 'the second set made no version'

call 200 GET "/secrets/$name?$api"
[ "$(field value)" = second ] || fail 'get does not show the latest value'
call 200 GET "${first#"$vault"}?$api"
[ "$(field value)" = first ] || fail 'get does not show the older value'
call 200 PATCH "/secrets/$name/?$api" '{"contentType":"text/plain"}'
[ "$(field contentType)" = text/plain ] || fail 'the update does not show'
call 200 GET "/secrets?$api&maxresults=1"
call 200 GET "/secrets/$name/versions?$api"
[ "$(grep -o '"id":' "$answer" | wc -l)" -eq 2 ] || fail 'not two versions'
call 200 POST "/secrets/$name/backup?$api"
blob=$(field value)

call 200 DELETE "/secrets/$name?$api"
call 404 GET "/secrets/$name?$api"
call 409 PUT "/secrets/$name?$api" '{"value":"too early"}'
call 200 GET "/deletedsecrets/$name?$api"
call 200 GET "/deletedsecrets?$api"
grep -q "deletedsecrets/$name\"" "$answer" || call 200 GET "/deletedsecrets/$name?$api"
call 200 POST "/deletedsecrets/$name/recover?$api"
call 200 GET "/secrets/$name?$api"
call 200 DELETE "/secrets/$name?$api"
call 204 DELETE "/deletedsecrets/$name?$api"
call 404 GET "/deletedsecrets/$name?$api"

call 200 POST "/secrets/restore?$api" "{\"value\":\"$blob\"}"
[ "$(field id)" = "$second" ] || fail 'the restored id is another one'
call 200 GET "${first#"$vault"}?$api"
[ "$(field value)" = first ] || fail 'the restored value is another one'
call 200 DELETE "/secrets/$name?$api"
call 204 DELETE "/deletedsecrets/$name?$api"
echo lived
