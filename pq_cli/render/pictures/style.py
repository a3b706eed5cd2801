"""How the page looks: light and dark as the reader's system has it, from a phone to a wall.

Colours never stand alone: a word or a number says the same.
"""

from pq_cli.render.pictures.markup import Markup

STYLE = Markup("""
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#57606a;--line:#d8dee4;--card:#f6f8fa;
--in:#0969da;--out:#1a7f37;--failed:#cf222e;--warn:#9a6700;--heat:9,105,218}
@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--dim:#9aa4af;--line:#30363d;
--card:#161b22;--in:#58a6ff;--out:#3fb950;--failed:#ff7b72;--warn:#d29922;--heat:88,166,255}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1rem;background:var(--bg);color:var(--fg);
font:1rem/1.45 system-ui,sans-serif}
h1,p,dd,td{overflow-wrap:anywhere}
h1{font-size:1.3rem;margin:0}
h2{font-size:1.05rem;margin:0 0 .6rem}
small,.dim,footer,.axis,th{color:var(--dim)}
small{font-weight:normal}
section{margin:1.6rem 0}
.alarm{border-left:.3rem solid var(--warn);background:var(--card);padding:.5rem .8rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(6.2rem,1fr));gap:.5rem;padding:0;
list-style:none;margin:1rem 0}
.tiles li{background:var(--card);border:1px solid var(--line);border-radius:.4rem;
padding:.4rem .7rem}
.tiles b{display:block;font-size:1.5rem;line-height:1.2}
.tiles .bad b{color:var(--failed)}
.list .bad{color:var(--failed);font-weight:bold}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .5rem;text-align:left;vertical-align:top}
th{font-weight:normal;font-size:.85rem;white-space:nowrap}
tbody th{color:var(--fg);font-size:1rem}
.list{width:100%}
.list td,.list tbody th{border-top:1px solid var(--line)}
.n,.w{white-space:nowrap}
.n{text-align:right}
.list .n,.list .w{width:1%}
.heat td,.heat th{padding:.25rem .15rem;min-width:1.9rem;font-size:.9rem;
text-align:center;white-space:nowrap}
.heat td.n{text-align:right}
.heat td[class^=h]{border:1px solid var(--bg)}
.h0{color:var(--dim)}
.h1{background:rgba(var(--heat),.1)}.h2{background:rgba(var(--heat),.2)}
.h3{background:rgba(var(--heat),.3)}.h4{background:rgba(var(--heat),.4)}
.h5{background:rgba(var(--heat),.5)}.h6{background:rgba(var(--heat),.6)}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1rem 2rem}
figure{margin:0;min-width:0}
figcaption{margin-bottom:.3rem}
.line{display:grid;grid-template-columns:3.2rem 1fr 4.2rem;align-items:end;gap:.4rem;
margin-bottom:.25rem;line-height:1.2}
.sum small{display:block}
.line svg{width:100%;height:2.6rem;background:var(--card);border-bottom:1px solid var(--line)}
.axis{display:flex;justify-content:space-between;margin:0 4.6rem 0 3.6rem;font-size:.85rem}
svg{display:block;fill:currentColor}
td svg{width:100%;height:1.4rem;background:var(--card)}
svg.in{color:var(--in)}svg.out{color:var(--out)}svg.failed{color:var(--failed)}
.lanes{width:100%;margin-top:.8rem}.lanes td{width:31%}
.lanes small{display:block;text-align:right}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem .8rem;margin:.6rem 0 0}
dt{color:var(--dim)}dd{margin:0}
footer{margin-top:2rem;border-top:1px solid var(--line);padding-top:.6rem;font-size:.85rem}
""")
