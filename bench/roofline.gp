# SPDX-License-Identifier: Apache-2.0
# gnuplot -e "points='FILE'; last=COLUMNS-1; out='FILE.svg'" roofline.gp: achieved over copy, by shape and contender, a panel an operation.
set datafile separator ","
set datafile missing "?"
set terminal svg size 1100,1080 font "sans-serif,13" background rgb "white" name "peers"
set output out
set multiplot
set logscale y 2
lowest = 0.03125 # what is slower yet stands at the lower edge
at_least(value) = value < lowest ? lowest : value
set yrange [0.029:2]
set ytics ("1/32" 0.03125, "1/16" 0.0625, "1/8" 0.125, "1/4" 0.25, "1/2" 0.5, "1" 1, "2" 2) nomirror
set xtics rotate by 35 right nomirror scale 0 font ",11"
set grid ytics lt 1 lc rgb "#dddddd" lw 1
set grid xtics lt 1 lc rgb "#eeeeee" lw 1
set border 3 lc rgb "#888888"
set lmargin at screen 0.075
set rmargin at screen 0.985
set style line 1 pt 7 ps 0.95 lc rgb "#0060b0"
set style line 2 pt 5 ps 0.85 lc rgb "#58a8e0"
set style line 3 pt 9 ps 0.9 lc rgb "#c04000"
set style line 4 pt 11 ps 0.9 lc rgb "#e09000"
set style line 5 pt 8 ps 0.9 lc rgb "#806050"
operations = "training inference backward"
unset key
do for [i = 1:3] {
    op = word(operations, i)
    top = 0.955 - (i - 1) * 0.285
    set tmargin at screen top
    set bmargin at screen top - 0.235
    set ylabel op . ": part of the copy" offset 1, 0
    if (i < 3) { set format x "" } else { set format x "%s" }
    if (i == 1) { set key at screen 0.5, 0.99 center top horizontal samplen 1 }
    if (i == 2) { unset key }
    rows = "< grep '^" . op . ",' '" . points . "'"
    if (i < 3) { set xtics textcolor rgb "white" } else { set xtics textcolor rgb "black" }
    plot [-0.5:last + 0.5] 1 with lines lc rgb "#444444" lw 1 title "copy", \
        rows using 0:(at_least($5)):xtic(2) with points ls 3 title "oneDNN, same layout", \
        rows using 0:(at_least($7)):xtic(2) with points ls 5 title "oneDNN, blocked", \
        rows using 0:(at_least($6)):xtic(2) with points ls 4 title "PyTorch", \
        rows using 0:(at_least($4)):xtic(2) with points ls 2 title "clbn on PoCL", \
        rows using 0:(at_least($3)):xtic(2) with points ls 1 title "clbn on the CPU path"
}
unset multiplot
