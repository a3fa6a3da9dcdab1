# SPDX-License-Identifier: Apache-2.0
#
# From samples.csv to Markdown: a table an operation, geometric means, and what was asked for. Before it comes about.csv. A time is
# the median of a contender's samples, a ratio the median of the ratios of each round. l2, llc: bytes. units: the list of shapes.
# points: a file for the picture's numbers.
BEGIN {
    FS = ","
    op_count = split("training inference backward", ops, " ")
    bytes["training"] = bytes["inference"] = 1; bytes["backward"] = 1.5 # of the 2 S that a copy moves
    while ((getline line < units) > 0) {
        if (line ~ /^:/) group = substr(line, 2)
        if (line !~ /^[0-9]/) continue
        gsub(/ /, "x", line)
        shapes[++shape_count] = line
        group_of[line] = group
    }
}

FNR == 1 { file++; next }
file == 1 { if (!($1 in what)) workers[++worker_count] = $1; what[$1] = $2; for (i = 3; i <= NF; i++) what[$1] = what[$1] "," $i; next }
{
    unit = $1 SUBSEP $2
    if (!(unit in measured)) { measured[unit] = 1; if (!($1 in group_of)) { shapes[++shape_count] = $1; group_of[$1] = "others" } }
    key = unit SUBSEP $3 SUBSEP $4 SUBSEP $5
    if (!(key in seen)) { seen[key] = 1; n = ++way_count[unit]; ways[unit, n] = key; layout[key] = $3; worker[key] = $4 }
    time[key, $6] = $8; samples[key]++
    if ($6 + 1 > rounds[unit]) rounds[unit] = $6 + 1
}

function middle(list, n,   i, j, hold) {
    for (i = 2; i <= n; i++) {
        hold = list[i]
        for (j = i - 1; j >= 1 && list[j] > hold; j--) list[j + 1] = list[j]
        list[j + 1] = hold
    }
    return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}
function ms(key,   round, n, list, unit, part) {
    if (key in known) return known[key]
    split(key, part, SUBSEP); unit = part[1] SUBSEP part[2]
    for (round = 0; round < rounds[unit]; round++) if ((key, round) in time) list[++n] = time[key, round]
    return known[key] = middle(list, n)
}
# How many times as long a takes as b.
function ratio(a, b,   round, n, list, unit, part) {
    if (a == "" || b == "") return ""
    split(a, part, SUBSEP); unit = part[1] SUBSEP part[2]
    for (round = 0; round < rounds[unit]; round++) if ((a, round) in time && (b, round) in time) list[++n] = time[a, round] / time[b, round]
    return n ? middle(list, n) : ""
}
function ours(w) { return w ~ /^clbn/ }
# The fastest way of a unit: who is a pattern for the worker, where one for the layout. A way that was left out early is none.
function fastest(unit, who, where,   i, key, found) {
    for (i = 1; i <= way_count[unit]; i++) {
        key = ways[unit, i]
        if (worker[key] ~ who && layout[key] ~ where && 2 * samples[key] >= rounds[unit] && (found == "" || ms(key) < ms(found))) found = key
    }
    return found
}
function plain(value) { # three digits, or what is left of a point, without an exponent
    if (value == "") return ""
    return sprintf(value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : value >= 1 ? "%.2f" : value >= 0.1 ? "%.3f" : value >= 0.01 ? "%.4f" : "%.5f", value)
}
function dims(shape, d,   n) { n = split(shape, d, "x"); if (n == 2) d[3] = d[4] = 1; return n }
function tensor(shape,   d) { dims(shape, d); return 4 * d[1] * d[2] * d[3] * d[4] }
# What of the copy is asked for: by the bytes of a run and of a channel's slice.
function share(shape, op, where,   d, run, slice, tier) {
    if (op == "inference") return 0.95
    dims(shape, d)
    run = 4 * d[3] * d[4]; slice = run * d[1]
    if (where == "nchw") tier = run >= 4096 && slice <= l2 / 2 ? 1 : slice <= llc ? 2 : 3
    else tier = tensor(shape) <= llc ? 2 : 3
    return op == "training" ? (tier == 1 ? 0.90 : tier == 2 ? 0.75 : 0.57) : (tier == 1 ? 0.85 : tier == 2 ? 0.70 : 0.52)
}
# A value beside what is asked for, bold where it falls short; counted for the list of targets, with its place in it.
function judge(target, value, asked, name,   text) {
    if (value == "") return ""
    text = plain(value)
    asked_of[target]++
    if (value >= asked) return text
    missed[target]++
    by = value / asked
    if (!(target in worst) || by < worst[target]) { worst[target] = by; worst_is[target] = name " " text }
    return "**" text "**"
}
function gather(name, value) { if (value != "") { sum[name] += log(value); count[name]++ } }
function mean(name) { return count[name] ? exp(sum[name] / count[name]) : "" }
function title(layout_name) { return layout_name == "nc" ? "N×C" : toupper(layout_name) }
function pretty(shape) { gsub(/x/, "×", shape); return shape }

# One row: shape, operation and layout.
function row(shape, op, where,   unit, place, best_same, best_any, d, w, own, copy, part, name, cells, same, any, of) {
    unit = shape SUBSEP op
    if (!(unit in measured)) return
    best_same = fastest(unit, "^[^c]", "^" where "$"); best_any = fastest(unit, "^[^c]", ".")
    place = pretty(shape) " " title(where) " " op
    printf "| %s | %s |", pretty(shape), title(where)
    for (w = 1; w <= worker_count; w++) { name = fastest(unit, "^" workers[w] "$", "^" where "$"); printf " %s |", name == "" ? "" : plain(ms(name)) }
    name = fastest(unit, "^[^c]", "^blocked$")
    if (peers) printf " %s |", name == "" ? "" : plain(ms(name))
    for (w = 1; w <= worker_count; w++) {
        if (!ours(workers[w])) continue
        own = fastest(unit, "^" workers[w] "$", "^" where "$"); copy = fastest(unit, "^" workers[w] "$", "^copy$")
        same = ratio(best_same, own); any = ratio(best_any, own); of = ratio(copy, own)
        if (of != "") of *= bytes[op]
        d = workers[w]
        if (peers && d == "clbn-cpu") printf " %s | %s |", judge("cpu same", same, 1, place), plain(any)
        else if (peers) printf(" %s | %s |", (tensor(shape) > 1e6 ? judge("pocl same", same, 0.9, place) : plain(same)), plain(any))
        printf " %s |", judge(d " copy " op, of, share(shape, op, where), place)
        gather(d SUBSEP "same" SUBSEP op SUBSEP where, same); gather(d SUBSEP "any" SUBSEP op SUBSEP where, any)
        gather(d SUBSEP "copy" SUBSEP op SUBSEP where, of)
        gather(d SUBSEP "same" SUBSEP op SUBSEP "all", same); gather(d SUBSEP "any" SUBSEP op SUBSEP "all", any)
        gather(d SUBSEP "copy" SUBSEP op SUBSEP "all", of)
        gather(d SUBSEP "any" SUBSEP "all", any)
        if (shape == "64x200" && op == "training" && d == "clbn-cpu") judge("small", any, 1, place)
    }
    printf "\n"
    draw(unit, shape, op, where)
}
# The picture's numbers: achieved over the best copy of any device.
function draw(unit, shape, op, where,   copy, w, key, line) {
    if (group_of[shape] == "odd" || points == "") return
    copy = fastest(unit, "^clbn", "^copy$")
    line = op "," pretty(shape) " " title(where)
    split("^clbn-cpu$,^clbn-pocl$,^onednn,^torch$,^onednn", who, ","); split(where "," where "," where "," where ",blocked", at, ",")
    for (w = 1; w <= 5; w++) {
        key = fastest(unit, who[w], "^" at[w] "$")
        key = key == "" ? "" : ratio(copy, key)
        line = line "," (key == "" ? "?" : sprintf("%.4g", key * bytes[op]))
    }
    print line > points
}
function heads(op,   w) {
    printf "\n**%s**\n\n| shape | layout |", toupper(substr(op, 1, 1)) substr(op, 2)
    for (w = 1; w <= worker_count; w++) printf " %s ms |", short(workers[w])
    if (peers) printf " oneDNN blocked ms |"
    for (w = 1; w <= worker_count; w++) if (ours(workers[w])) printf(peers ? " %s: peer in this layout | in any | copy |" : " %s: copy |", short(workers[w]))
    printf "\n|---|---|"
    for (w = 1; w <= worker_count; w++) printf "---|"
    if (peers) printf "---|"
    for (w = 1; w <= worker_count; w++) if (ours(workers[w])) printf("%s", peers ? "---|---|---|" : "---|")
    printf "\n"
}
function short(name) {
    if (name == "clbn-cpu") return "CPU path"
    if (name == "clbn-pocl") return "PoCL"
    if (name == "torch") return "PyTorch"
    sub(/^onednn-/, "oneDNN ", name)
    return name
}
function means(   w, o, l, i, kinds, wheres) {
    printf "\n**Geometric means**: how many times as long the best peer takes, and the part of the copy\n\n| | operation |"
    split("nc nchw nhwc all", wheres, " "); split("same any copy", kinds, " ")
    for (l = 1; l <= 4; l++) {
        if (peers) printf " %s: peer in this layout | in any |", wheres[l] == "all" ? "all" : title(wheres[l])
        printf " %s copy |", peers ? "" : (wheres[l] == "all" ? "all" : title(wheres[l])) ":"
    }
    printf "\n|---|---|"
    for (l = 1; l <= 4; l++) printf("%s", peers ? "---|---|---|" : "---|")
    printf "\n"
    for (w = 1; w <= worker_count; w++) if (ours(workers[w])) for (o = 1; o <= op_count; o++) {
        printf "| %s | %s |", short(workers[w]), ops[o]
        for (l = 1; l <= 4; l++) for (i = peers ? 1 : 3; i <= 3; i++) printf " %s |", plain(mean(workers[w] SUBSEP kinds[i] SUBSEP ops[o] SUBSEP wheres[l]))
        printf "\n"
    }
}
function target(text, key) {
    if (!asked_of[key]) { printf "| %s | not measured | |\n", text; return }
    printf "| %s | %s | %d of %d%s |\n", text, missed[key] ? "missed" : "met", asked_of[key] - missed[key], asked_of[key], \
        missed[key] ? "; furthest off: " worst_is[key] : ""
}
function target_mean(text, value, asked) {
    printf("| %s | %s | %s |\n", text, (value == "" ? "not measured" : value >= asked ? "met" : "missed"), plain(value))
}
function targets(   o, w) {
    printf "\n**What was asked for**\n\n| | | rows that meet it, or the mean |\n|---|---|---|\n"
    if (peers) {
        target("CPU path: no slower than the best peer in the same layout, on every shape", "cpu same")
        target_mean("… 3 times as fast in the geometric mean, training, NCHW", mean("clbn-cpu" SUBSEP "same" SUBSEP "training" SUBSEP "nchw"), 3)
        target_mean("… 1.1 times as fast as the best peer in any layout, geometric mean", mean("clbn-cpu" SUBSEP "any" SUBSEP "all"), 1.1)
        target("… 64×200, training, no slower than the fastest peer", "small")
        target("PoCL: 0.9 of the best peer in the same layout above 1 MB, on every shape", "pocl same")
        target_mean("… 0.95 of the best peer in any layout, geometric mean", mean("clbn-pocl" SUBSEP "any" SUBSEP "all"), 0.95)
    }
    for (w = 1; w <= worker_count; w++) if (ours(workers[w])) for (o = 1; o <= op_count; o++)
        target(short(workers[w]) ": " ops[o] " at " (ops[o] == "inference" ? "0.95" : ops[o] == "training" ? "0.90, 0.75 or 0.57" : "0.85, 0.70 or 0.52") \
            " of the copy", workers[w] " copy " ops[o])
}
END {
    for (w = 1; w <= worker_count; w++) if (!ours(workers[w])) peers = 1
    printf "Contenders: "
    for (w = 1; w <= worker_count; w++) printf("%s%s", (w > 1 ? "; " : ""), what[workers[w]])
    printf ".\n"
    for (o = 1; o <= op_count; o++) {
        heads(ops[o])
        for (s = 1; s <= shape_count; s++) {
            if (split(shapes[s], d, "x") == 2) row(shapes[s], ops[o], "nc")
            else { row(shapes[s], ops[o], "nchw"); row(shapes[s], ops[o], "nhwc") }
        }
    }
    means()
    targets()
}
