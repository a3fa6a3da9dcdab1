# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
#
# The file that scripts/gpu-report writes, from what it has measured into $folder; sourced by it, in the top folder. Of the tables
# gpu_report.awk makes most.

about() {
    local commit
    commit=$(git describe --always --dirty 2>/dev/null || echo "${CLBN_COMMIT:-unknown}")
    printf '# clbn on %s\n\n' "$(fact device)"
    printf '| | |\n|---|---|\n'
    printf '| machine | %s × %s, %s GiB; %s, Linux %s |\n' "$(nproc)" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | sed -n 1p)" \
        "$(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)" "$(. /etc/os-release && echo "$PRETTY_NAME")" "$(uname -r)"
    printf '| device | %s, %s |\n' "$(fact device)" "$(fact platform)"
    printf '| driver | %s; %s |\n' "$(fact driver)" "$(fact version)"
    if command -v nvidia-smi >/dev/null; then
        printf '| nvidia-smi | %s |\n' "$(timeout 20 nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.max.mem,power.limit --format=csv,noheader 2>/dev/null |
            paste -sd';' - || true)"
    fi
    printf '| date | %s |\n| commit | %s |\n' "$(date -u '+%F %H:%M UTC')" "$commit"
    # shellcheck disable=SC2016  # Markdown
    printf '| made by | `scripts/gpu-report%s%s`, %s s |\n' "${quick:+ --quick}" "${own:+ --device ${own##*/}}" "$SECONDS"
}

parts() {
    printf '\n## Parts\n\n| part | | s | |\n|---|---|---|---|\n'
    awk -F'\t' '{ gsub(/\|/, "/", $5); printf "| %s | %s | %s | %s |\n", $2, ($3 == "done" ? "done" : "**" $3 "**"), $4, $5 }' "$folder/parts.tsv"
}

devices() {
    # shellcheck disable=SC2016  # Markdown
    printf '\n## The device\n\n```text\n%s\n```\n\n| | |\n|---|---|\n' "$(timeout 60 "$build/tools/clbn" devices 2>&1 || true)"
    sed -n 's/^fact,\([^,]*\),\(.*\)$/| \1 | \2 |/p' "$folder/warm.csv"
}

raw() {
    local file
    printf '\n## Raw figures\n'
    for file in cold.csv warm.csv tests.tsv bench.csv variants.csv verify.json; do
        [ -s "$folder/$file" ] || continue
        # shellcheck disable=SC2016  # Markdown
        printf '\n<details><summary>%s</summary>\n\n```text\n%s\n```\n\n</details>\n' "$file" "$(cut -c1-400 "$folder/$file")"
    done
    for file in "$folder"/peers-*/samples.csv; do
        [ -s "$file" ] || continue
        # The samples of a way as one line: their median.
        # shellcheck disable=SC2016  # Markdown
        printf '\n<details><summary>%s: medians</summary>\n\n```text\n%s\n```\n\n</details>\n' "$(basename "$(dirname "$file")")" \
            "$(awk -v only=medians -f bench/gpu_report.awk dtype="$(basename "$(dirname "$file")" | cut -d- -f2)" kind=peers "$file")"
    done
}

write() {
    local file inputs=()
    for file in "$folder"/peers-*/samples.csv; do
        [ -s "$file" ] && inputs+=(dtype="$(basename "$(dirname "$file")" | cut -d- -f2)" kind=peers "$file")
    done
    for file in cold warm; do [ ! -s "$folder/$file.csv" ] || inputs+=(kind="$file" "$folder/$file.csv"); done
    for file in wanted bench variants; do [ ! -s "$folder/$file.csv" ] || inputs+=(kind="$file" "$folder/$file.csv"); done
    [ ! -s "$folder/variants.none" ] || inputs+=(kind=none "$folder/variants.none")
    [ ! -s "$folder/tests.tsv" ] || inputs+=(kind=tests "$folder/tests.tsv")
    [ ! -s "$folder/verify.json" ] || inputs+=(kind=verify "$folder/verify.json")
    about
    parts
    awk -v torch="$(cat "$folder"/peers-*/about.csv 2>/dev/null | sed -n 's/^torch,//p' | sed -n 1p)" -f bench/gpu_report.awk "${inputs[@]}" >"$folder/tables.md"
    # The figures count what the targets say: they come first, and stand behind.
    sed '1,/^<!-- targets -->$/d' "$folder/tables.md" | awk '/^## First/ { on = 1 } !on { print }'
    devices
    sed '1,/^<!-- targets -->$/d' "$folder/tables.md" | awk '/^## First/ { on = 1; print "" } on { print }'
    sed '/^<!-- targets -->$/,$d' "$folder/tables.md"
    raw
}
