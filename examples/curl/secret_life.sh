#!/usr/bin/env bash
# The whole life of a secret with curl and jq. Runs unchanged against any Key Vault: only the environment differs.
set -euo pipefail

vault=$AZURE_KEYVAULT_URL
query='api-version=7.6'
name="example-$$"

# Where to sign in, and for what, is in the challenge.
challenge=$(curl --silent --show-error --head "$vault/secrets?$query" | tr -d '\r' | sed -n 's/^www-authenticate: //Ip')
authority=$(sed 's/.*authorization="\([^"]*\)".*/\1/' <<<"$challenge")
resource=$(sed 's/.*resource="\([^"]*\)".*/\1/' <<<"$challenge")

# The client secret goes through standard input: the arguments of a program can be seen by others.
token=$(
  jq --null-input --raw-output --arg scope "$resource/.default" \
    '"grant_type=client_credentials&client_id=\(env.AZURE_CLIENT_ID | @uri)&client_secret=\(env.AZURE_CLIENT_SECRET | @uri)" +
     "&scope=\($scope | @uri)"' |
    curl --silent --show-error --fail-with-body "$authority/oauth2/v2.0/token" --data @- |
    jq --raw-output .access_token
)

# call METHOD PATH [BODY]: the JSON of the answer
call() {
  local method=$1 path=$2 body=${3-}
  curl --silent --show-error --fail-with-body --request "$method" "$vault/$path?$query" \
    --header @<(echo "Authorization: Bearer $token") --header 'Content-Type: application/json' --data-binary @- <<<"$body"
}

first=$(call PUT "secrets/$name" '{"value": "open sesame", "contentType": "text/plain", "tags": {"made-by": "example"}}')
echo "set        $(jq --raw-output .id <<<"$first")"
second=$(call PUT "secrets/$name" '{"value": "open barley"}' | jq --raw-output .id)
echo "get        $([ "$(call GET "secrets/$name" | jq --raw-output .id)" = "$second" ] && echo true)"
older=$(jq --raw-output .id <<<"$first")
echo "older      $(call GET "${older#"$vault/"}" | jq '.value == "open sesame"')"
echo "update     $(call PATCH "secrets/$name" '{"tags": {"season": "autumn"}}' | jq --compact-output .tags)"
echo "versions   $(call GET "secrets/$name/versions" | jq '.value | length')"

backup=$(call POST "secrets/$name/backup")
until=$(call DELETE "secrets/$name" | jq --raw-output '.scheduledPurgeDate | todate')
echo "delete     can be saved until $until"
# The real service needs a moment to delete and to recover.
for _ in {1..60}; do call GET "deletedsecrets/$name" >/dev/null 2>&1 && break || sleep 1; done
call POST "deletedsecrets/$name/recover" >/dev/null
for _ in {1..60}; do call GET "secrets/$name" >/dev/null 2>&1 && break || sleep 1; done
echo "recover    $name"
call DELETE "secrets/$name" >/dev/null
for _ in {1..60}; do call GET "deletedsecrets/$name" >/dev/null 2>&1 && break || sleep 1; done
call DELETE "deletedsecrets/$name"
echo "purge      done"
for _ in {1..60}; do restored=$(call POST secrets/restore "$backup" 2>/dev/null) && break || sleep 1; done
echo "restore    $([ "$(jq --raw-output .id <<<"$restored")" = "$second" ] && echo true)"
call DELETE "secrets/$name" >/dev/null
for _ in {1..60}; do call GET "deletedsecrets/$name" >/dev/null 2>&1 && break || sleep 1; done
call DELETE "deletedsecrets/$name"
