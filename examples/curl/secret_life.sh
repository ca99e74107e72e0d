#!/usr/bin/env bash
# The whole life of a secret with curl and jq. Runs unchanged against any Key Vault: only the environment differs.
set -euo pipefail

vault=$AZURE_KEYVAULT_URL
query='api-version=7.6'
name="example-$$"

# Where to sign in, and for what, is in the challenge.
challenge=$(
  curl --silent --show-error --output /dev/null --dump-header - "$vault/secrets?$query" |
    tr -d '\r' | sed -n 's/^www-authenticate: //Ip'
)
authority=$(sed 's/.*authorization="\([^"]*\)".*/\1/' <<<"$challenge")
resource=$(sed 's/.*resource="\([^"]*\)".*/\1/' <<<"$challenge")

# Secrets go through standard input and a file: the arguments of a program can be seen by others.
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT
token=$(
  jq --null-input --raw-output --arg scope "$resource/.default" \
    '"grant_type=client_credentials&client_id=\(env.AZURE_CLIENT_ID | @uri)&client_secret=\(env.AZURE_CLIENT_SECRET | @uri)" +
     "&scope=\($scope | @uri)"' |
    curl --silent --show-error --fail-with-body "$authority/oauth2/v2.0/token" --data @- |
    jq --raw-output .access_token
)

echo "Authorization: Bearer $token" >"$headers"

# call METHOD PATH [BODY]: the JSON of the answer
call() {
  local arguments=(--silent --show-error --fail-with-body --request "$1" "$vault/$2?$query")
  arguments+=(--header "@$headers")
  if [ "$#" -gt 2 ]; then
    curl "${arguments[@]}" --header 'Content-Type: application/json' --data-binary @- <<<"$3"
  else
    curl "${arguments[@]}" --header 'Content-Length: 0'
  fi
}

# settled METHOD PATH [BODY]: the same, as soon as it succeeds; the real service needs a moment to delete and to recover
settled() {
  local answer
  for _ in {1..60}; do
    answer=$(call "$@" 2>/dev/null) && echo "$answer" && return
    sleep 1
  done
  return 1
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
settled POST "deletedsecrets/$name/recover" >/dev/null
echo "recover    $(settled GET "secrets/$name" | jq --raw-output .value)"
call DELETE "secrets/$name" >/dev/null
settled DELETE "deletedsecrets/$name" >/dev/null
echo "purge      done"
echo "restore    $([ "$(settled POST secrets/restore "$backup" | jq --raw-output .id)" = "$second" ] && echo true)"
call DELETE "secrets/$name" >/dev/null
settled DELETE "deletedsecrets/$name" >/dev/null
