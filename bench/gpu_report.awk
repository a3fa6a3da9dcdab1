# SPDX-License-Identifier: Apache-2.0
#
# The tables of scripts/gpu-report. Before each file stands its kind: cold, warm (of bench/latency), wanted, bench, variants, none, tests,
# verify (JSON), peers (with its dtype). A time is a median; a ratio with PyTorch the median of those of each round. torch: what it is.
# only=medians: the medians of peers, as csv, alone. docs/gpu-report.md says what is asked for.
BEGIN { FS = ","; op_count = split("training inference backward", ops, " "); type_count = split("f32 f16", types, " ") }

kind == "cold" { if ($1 == "first") cold[$2] = $3; next }
kind == "warm" {
    if ($1 == "first") { warm[$2] = $3; firsts[++first_count] = $2 }
    if ($1 == "fact") fact[$2] = $3
    if ($1 == "small") small[$2] = $3
    next
}
# A shape and axis, as NCHW: the name of a row.
function row_of(shape, axis,   d) {
    if (split(shape, d, "x") == 2) return shape " N×C"
    return axis == "-1" ? d[1] "x" d[4] "x" d[2] "x" d[3] " NHWC" : shape " NCHW"
}
kind == "wanted" {
    row = row_of($1, $2)
    if (!(row in known)) { known[row] = 1; rows[++row_count] = row }
    for (o = 1; o <= op_count; o++) wanted[row, ops[o], $3] = 1
    next
}
kind == "bench" {
    key = row_of($2, $3) SUBSEP $1 SUBSEP $4
    ms[key] = $7; bytes[key] = $9; gbps[key] = $10; copy[key] = $11; share[key] = $12; variant[key] = $6; best[key] = $14
    next
}
kind == "variants" {
    key = $2 SUBSEP $6
    if (!(key in forced)) { forced[key] = 1; trials[++trial_count] = key }
    forced_ms[key, $1] = $7
    forced_share[key, $1] = $12
    next
}
kind == "none" { split($0, part, "\t"); nones[++none_count] = part[1] SUBSEP part[2]; why[none_count] = part[3]; next }
kind == "tests" { tests[++test_count] = $0; next }
kind == "verify" { verify[++verify_count] = $0; next }
kind == "peers" {
    if ($1 == "shape") next
    d = split($1, part, "x")
    where = $1 " " ($3 == "nc" ? "N×C" : toupper($3))
    key = where SUBSEP $2 SUBSEP dtype
    way = key SUBSEP $4 SUBSEP $5
    if (!(way in seen)) { seen[way] = 1; n = ++way_count[key]; ways[key, n] = way; worker[way] = $4; all[++all_count] = way }
    time[way, $6] = $8; samples[way]++
    if ($6 + 1 > rounds[key]) rounds[key] = $6 + 1
}

function middle(list, n,   i, j, hold) {
    for (i = 2; i <= n; i++) {
        hold = list[i]
        for (j = i - 1; j >= 1 && list[j] > hold; j--) list[j + 1] = list[j]
        list[j + 1] = hold
    }
    return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}
function key_of(way,   part) { split(way, part, SUBSEP); return part[1] SUBSEP part[2] SUBSEP part[3] }
function way_ms(way,   round, n, list, key) {
    if (way in middle_of) return middle_of[way]
    key = key_of(way)
    for (round = 0; round < rounds[key]; round++) if ((way, round) in time) list[++n] = time[way, round]
    return middle_of[way] = middle(list, n)
}
# The fastest of clbn's, or of PyTorch's; one that was left out early is none.
function fastest(key, who,   i, way, found) {
    for (i = 1; i <= way_count[key]; i++) {
        way = ways[key, i]
        if (worker[way] ~ who && 2 * samples[way] >= rounds[key] && (found == "" || way_ms(way) < way_ms(found))) found = way
    }
    return found
}
function ahead(key,   own, other, round, n, list) { # how many times as long PyTorch takes
    own = fastest(key, "^clbn"); other = fastest(key, "^torch")
    if (own == "" || other == "") return ""
    for (round = 0; round < rounds[key]; round++) if ((own, round) in time && (other, round) in time) list[++n] = time[other, round] / time[own, round]
    return n ? middle(list, n) : ""
}
function plain(value) {
    if (value == "") return ""
    return sprintf(value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : value >= 1 ? "%.2f" : value >= 0.1 ? "%.3f" : "%.4f", value)
}
function pretty(text) { gsub(/x/, "×", text); return text }
# Beside what is asked for, least or most; counted; bold where it falls short.
function judge(target, value, asked, most, place,   text, by) {
    if (value == "") return ""
    text = plain(value)
    asked_of[target]++
    by = most ? asked / value : value / asked
    logs[target] += log(value)
    if (!(target in worst) || by < worst[target]) { worst[target] = by; worst_is[target] = pretty(place) ": " text }
    if (by >= 1) return text
    missed[target]++
    return "**" text "**"
}
# Is what a channel needs twice kept near a group, or all of it in the cache? Columns come in pieces of 64 bytes side by side.
function fits(row, op, type,   d, part, n, size, slice, tensors) {
    split(row, part, " "); n = split(part[1], d, "x"); if (n == 2) d[3] = d[4] = 1
    size = type == "f16" ? 2 : 4; tensors = op == "backward" ? 2 : 1
    slice = part[2] == "NCHW" ? size * d[1] * d[3] * d[4] : 64 * d[1] * d[3] * d[4]
    return tensors * slice <= fact["local memory bytes"] || tensors * size * d[1] * d[2] * d[3] * d[4] <= fact["cache bytes"] / 2
}
function asked_share(row, op, type) {
    if (op == "inference") return 0.95
    if (fits(row, op, type)) return op == "training" ? 0.90 : 0.85
    return op == "training" ? 0.57 : 0.52
}

function figures(op,   r, t, key, half, line, value, some) {
    printf "\n## %s\n\n| shape | layout | variant | f32 ms | GB/s | of copy | f16 ms | GB/s | of copy | f16/f32 |", toupper(substr(op, 1, 1)) substr(op, 2)
    if (all_count) printf " PyTorch f32 | f16 |"
    printf "\n|---|---|---|---|---|---|---|---|---|---|%s\n", all_count ? "---|---|" : ""
    for (r = 1; r <= row_count; r++) {
        line = some = ""
        for (t = 1; t <= type_count; t++) {
            key = rows[r] SUBSEP op SUBSEP types[t]
            if (!(key in ms)) { line = line " | | |"; if (wanted[key]) lacks[rows[r], types[t]] = lacks[rows[r], types[t]] " " op; continue }
            some = 1
            line = line sprintf(" %s | %s | %s |", plain(ms[key]), plain(gbps[key]), judge("copy " op " " types[t] (op == "inference" ? "" : fits(rows[r], op, types[t]) ? " fits" : " else"), share[key], asked_share(rows[r], op, types[t]), 0, rows[r]))
        }
        key = rows[r] SUBSEP op SUBSEP "f32"; half = rows[r] SUBSEP op SUBSEP "f16"
        value = key in ms && half in ms ? ms[half] / ms[key] : ""
        tensor = (op == "backward" ? bytes[key] / 3 : bytes[key] / 2)
        line = line " " (tensor >= 32 * 1048576 ? judge("half " op, value, half_asked, 1, rows[r]) : plain(value)) " |"
        for (t = 1; all_count && t <= type_count; t++) {
            half = rows[r] SUBSEP op SUBSEP types[t]
            value = judge("torch " op " " types[t], ahead(half), 1, 0, rows[r])
            line = line " " value " |"
            if (value != "") some = 1
        }
        split(rows[r], part, " ")
        if (some) printf "| %s | %s | %s |%s\n", pretty(part[1]), part[2], variant[key], line
    }
}
# The rows that bench did not come to: those that lack the same operations in one line.
function left_out(   t, r, text, lists, counts, name) {
    for (t = 1; t <= type_count; t++)
        for (r = 1; r <= row_count; r++) {
            if (!((rows[r], types[t]) in lacks)) continue
            text = types[t] lacks[rows[r], types[t]]
            lists[text] = lists[text] ", " pretty(rows[r]); counts[text]++
        }
    for (name in lists) printf "\nLeft out, %s: %s.\n", name, counts[name] == row_count ? "all" : substr(lists[name], 3)
}
function target(text, name) {
    if (!asked_of[name]) { list = list sprintf("| %s | not measured | | | |\n", text); return }
    list = list sprintf("| %s | %s | %d of %d | %s | %s |\n", text, missed[name] ? "**missed**" : "met", asked_of[name] - missed[name], asked_of[name], \
        plain(exp(logs[name] / asked_of[name])), worst_is[name])
}
function single(text, value, asked, unit) {
    list = list sprintf("| %s | %s | | %s | |\n", text, value == "" ? "not measured" : value <= asked ? "met" : "**missed**", value == "" ? "" : plain(value) " " unit)
}
function targets(   o, t, name, launches) {
    list = "\n## Targets\n\n| asked for | | rows | mean, or value | furthest off |\n|---|---|---|---|---|\n"
    for (t = 1; t <= type_count; t++) {
        name = types[t] == "f32" ? "float32" : "float16"
        target("inference, " name ": 0.95 of the copy", "copy inference " types[t])
        target("training, " name ": 0.90 of the copy where a slice fits", "copy training " types[t] " fits")
        target("… 0.57 where none does", "copy training " types[t] " else")
        target("backward, " name ": 0.85 of the copy where a slice fits", "copy backward " types[t] " fits")
        target("… 0.52 where none does", "copy backward " types[t] " else")
    }
    for (o = 1; o <= op_count; o++) target(ops[o] ", float16: " half_asked " of float32's time, from 32 MiB on", "half " ops[o])
    for (t = 1; t <= type_count; t++) for (o = 1; o <= op_count; o++)
        target(ops[o] ", " (types[t] == "f32" ? "float32" : "float16") ": no slower than PyTorch", "torch " ops[o] " " types[t])
    launches = small["training: launches"]
    single("64×200 training, 10th percentile: 10 µs above an empty kernel", \
        small["training: 10th percentile"] == "" ? "" : small["training: 10th percentile"] - small["empty kernel: 10th percentile"], 10, "µs")
    list = list sprintf("| … in one launch | %s | | %s | |\n", launches == "" ? "not measured" : launches <= 1 ? "met" : "**missed**", launches)
    single("… 10 µs of the host's time a launch", launches ? small["training: host"] / launches : "", 10, "µs")
    single("a plan with warm caches: 30 ms", warm["plan of 64x200 training"], 30, "ms")
    printf "%s", list
}
function first_calls(   i, k, n, kinds) {
    printf "\n## First and small calls\n\n| ms | cold caches | warm caches |\n|---|---|---|\n"
    for (i = 1; i <= first_count; i++) {
        if (firsts[i] ~ /^plan of .*(inference|backward)$/) continue
        printf "| %s | %s | %s |\n", pretty(firsts[i]), plain(cold[firsts[i]]), plain(warm[firsts[i]])
    }
    printf "\nCalls of 64×200 and their end, in turn with an empty kernel, %s rounds, µs; host: of %s enqueued behind one another.\n\n", small["rounds"], 20
    printf "| | launches | 10th percentile | median | host, a call |\n|---|---|---|---|---|\n"
    n = split("training,inference,backward,empty kernel", kinds, ",")
    for (k = 1; k <= n && small["rounds"] != ""; k++) printf "| %s | %s | %s | %s | %s |\n", kinds[k], small[kinds[k] ": launches"], \
        small[kinds[k] ": 10th percentile"], small[kinds[k] ": median"], small[kinds[k] ": host"]
}
function field(text, key,   at) {
    at = index(text, "\"" key "\": ")
    if (!at) return ""
    text = substr(text, at + length(key) + 4)
    if (text ~ /^"/) { text = substr(text, 2); sub(/".*/, "", text) }
    else if (text ~ /^\[/) { text = substr(text, 2); sub(/\].*/, "", text); gsub(/, /, "×", text) }
    else sub(/[,}].*/, "", text)
    return text
}
function cut(value) { return sprintf("%.3f", int(value * 1000) / 1000) }
function verified(   i, line, key, t, n, kinds, ratio, misses, order, count, top, place, op) {
    printf "\n## Verify\n"
    if (!verify_count) { print "\nIt gave no figures; see the parts."; return }
    for (i = 1; i <= verify_count; i++) {
        line = verify[i]
        if (line ~ /"summary"/)
            printf "\n%s of %s batches, %s calls, %s numbers compared, **%s outside their bounds**%s%s.\n", field(line, "batches"), field(line, "batches_planned"), \
                field(line, "calls"), field(line, "checks"), field(line, "misses"), field(line, "first_miss") == "" ? "" : "; first: " field(line, "first_miss"), \
                field(line, "impossible") == "" ? "" : "; not possible here: " field(line, "impossible")
        if (line !~ /\{"operation"/) continue
        op = field(line, "operation"); key = op SUBSEP field(line, "type"); ratio = field(line, "worst") + 0
        if (!(op in misses)) { misses[op] = 0; order[++count] = op }
        misses[op] += field(line, "misses")
        if (!(key in top) || ratio > top[key]) {
            top[key] = ratio
            place[key] = field(line, "quantity") ", " field(line, "variant")
        }
    }
    n = split("float32 float16 bfloat16 float64", kinds, " ")
    printf "\nThe worst error over its bound (1 and below is kept), of which quantity, by which variant:\n\n| operation |"
    for (t = 1; t <= n; t++) printf " %s | |", kinds[t]
    printf " outside |\n|---|"
    for (t = 1; t <= n; t++) printf "---|---|"
    printf "---|\n"
    for (i = 1; i <= count; i++) {
        printf "| %s |", order[i]
        for (t = 1; t <= n; t++) {
            key = order[i] SUBSEP kinds[t]
            if (key in top) printf(top[key] > 1 ? " **%s** | %s |" : " %s | %s |", cut(top[key]), place[key]); else printf " | |"
        }
        printf " %s |\n", misses[order[i]] ? "**" misses[order[i]] "**" : 0
    }
}
function tested(   i, part) {
    printf "\n## Tests\n\n| test | | s |\n|---|---|---|\n"
    for (i = 1; i <= test_count; i++) { split(tests[i], part, "\t"); printf "| %s | %s | %s |\n", part[1], part[2] == "passed" ? "passed" : "**" part[2] "**", part[3] }
}
function variants(   i, part) {
    printf "\n## Variants\n\nEach forced, float32.\n\n| shape | variant | training ms | of copy | backward ms | of copy |\n|---|---|---|---|---|---|\n"
    for (i = 1; i <= trial_count; i++) {
        split(trials[i], part, SUBSEP)
        printf "| %s | %s | %s | %s | %s | %s |\n", pretty(part[1]), part[2], plain(forced_ms[trials[i], "training"]), plain(forced_share[trials[i], "training"]), \
            plain(forced_ms[trials[i], "backward"]), plain(forced_share[trials[i], "backward"])
    }
    for (i = 1; i <= none_count; i++) { split(nones[i], part, SUBSEP); printf "\nWithout %s at %s: %s\n", part[1], pretty(part[2]), why[i] }
}
function copies(   r, t, key, most, line) {
    for (t = 1; t <= type_count; t++) {
        most = ""
        for (r = 1; r <= row_count; r++) { key = rows[r] SUBSEP "inference" SUBSEP types[t]; if (key in ms && (most == "" || copy[key] > copy[most])) most = key }
        if (most != "") { split(most, part, SUBSEP); line = line sprintf("%s%s GB/s in %s at %s (%s)", line == "" ? "" : ", ", plain(copy[most]), types[t], pretty(part[1]), best[most]) }
    }
    if (line != "") printf "\nThe fastest copy: %s.\n", line
}
END {
    if (only == "medians") {
        print "shape layout,op,dtype,worker,way,median ms,samples"
        for (i = 1; i <= all_count; i++) { split(all[i], part, SUBSEP); sub(/^clbn.*/, "clbn", part[4]); printf "%s,%s,%s,%s,%s,%.5g,%d\n", part[1], part[2], part[3], part[4], part[5], way_ms(all[i]), samples[all[i]] }
        exit
    }
    half_asked = fact["kind"] == "cpu" ? 0.7 : 0.55
    # Figures count what the targets say, and come behind them.
    for (o = 1; o <= op_count; o++) figures(ops[o])
    copies()
    printf "\n%s\n", all_count ? "PyTorch: " torch "; how many times as long its fastest kernels take, in rounds with clbn." : "No PyTorch that runs on this device was found."
    left_out()
    print "<!-- targets -->"
    targets()
    first_calls()
    verified()
    tested()
    variants()
}
