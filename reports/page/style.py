"""The page's style: system fonts, two themes, paper."""

from __future__ import annotations

LIGHT = {
    "paper": "#ffffff",
    "surface": "#f5f7f9",
    "ink": "#1b2430",
    "muted": "#56616f",
    "line": "#d9dfe6",
    "accent": "#1c5d99",
    "ensemble": "#0f766e",
    "single": "#2563a8",
    "printed": "#b45309",
    "baseline": "#6b7280",
    "bad": "#b42318",
    "good": "#14713d",
}
DARK = {
    "paper": "#12161b",
    "surface": "#1a2027",
    "ink": "#e4e9ef",
    "muted": "#a2adba",
    "line": "#323b46",
    "accent": "#7fb8ee",
    "ensemble": "#4fd1b8",
    "single": "#86b7f5",
    "printed": "#f0a75e",
    "baseline": "#9aa5b1",
    "bad": "#f48b80",
    "good": "#6fce96",
}


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


_THEMES = f"""
:root{{color-scheme:light;{_variables(LIGHT)}}}
@media screen{{
:root[data-theme=dark]{{color-scheme:dark;{_variables(DARK)}}}
@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{color-scheme:dark;{_variables(DARK)}}}}}
}}
"""

_REST = """
*{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:1rem;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",Helvetica,Arial,sans-serif}
a{color:var(--accent)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:3px}
.skip{position:absolute;left:-999rem;top:0;background:var(--paper);padding:.5rem 1rem;z-index:9}
.skip:focus{left:0}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.page{display:grid;grid-template-columns:14rem minmax(0,1fr);max-width:84rem;margin:0 auto}
.side{position:sticky;top:0;align-self:start;height:100vh;overflow:auto;padding:2rem 1rem 2rem 1.5rem;
border-right:1px solid var(--line);font-size:.92rem}
.side .brand{font-weight:700;letter-spacing:.01em;margin:0 0 .2rem;overflow-wrap:anywhere}
.side .made{color:var(--muted);font-size:.82rem;margin:0 0 1.2rem}
.side ol{list-style:none;margin:0;padding:0}
.side li a{display:block;padding:.3rem .6rem;border-radius:6px;color:var(--muted);text-decoration:none}
.side li a:hover{background:var(--surface);color:var(--ink)}
.side li a[aria-current]{background:var(--surface);color:var(--ink);font-weight:600}
.side button{margin-top:1.2rem;width:100%}
button{font:inherit;color:inherit;cursor:pointer}
.theme{background:var(--surface);border:1px solid var(--line);border-radius:8px;padding:.4rem .7rem}
.theme:hover{border-color:var(--muted)}
main{padding:2rem clamp(1rem,3vw,3rem) 4rem;min-width:0}
h1{font-size:clamp(1.5rem,1.1rem + 1.6vw,2.1rem);line-height:1.2;margin:0 0 .3rem;overflow-wrap:anywhere}
h2{font-size:1.35rem;margin:0 0 .8rem;line-height:1.3}
h3{font-size:1.02rem;margin:1.8rem 0 .5rem;overflow-wrap:anywhere}
p{max-width:74ch;margin:.5rem 0}
.under{color:var(--muted);margin:0 0 1.6rem}
.note{color:var(--muted);font-size:.9rem}
section{padding:2rem 0;border-top:1px solid var(--line)}
section:first-of-type{border-top:0;padding-top:0}
.lead{font-size:1.12rem;max-width:66ch}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr));gap:.8rem;margin:1.2rem 0}
.card{background:var(--surface);border:1px solid var(--line);border-top:4px solid var(--baseline);
border-radius:8px;
padding:.8rem 1rem;display:flex;flex-direction:column;gap:.1rem}
.card.ensemble{border-top-color:var(--ensemble)}
.card.single{border-top-color:var(--single)}
.card .name{font-size:.88rem;color:var(--muted)}
.card .score{font-size:1.7rem;font-weight:650;font-variant-numeric:tabular-nums;line-height:1.2}
.findings{list-style:none;margin:1.2rem 0 0;padding:0;display:grid;gap:.5rem}
.findings li{display:grid;grid-template-columns:5.2rem minmax(0,1fr);gap:.8rem;align-items:baseline;
padding:.55rem .9rem;border-left:4px solid var(--line);background:var(--surface);border-radius:0 8px 8px 0;
overflow-wrap:anywhere}
.findings .mark{font-weight:650;font-size:.88rem;color:var(--muted)}
.findings .level-good{border-color:var(--good)}.findings .level-good .mark{color:var(--good)}
.findings .level-warning{border-color:var(--printed)}.findings .level-warning .mark{color:var(--printed)}
.findings .level-error{border-color:var(--bad)}.findings .level-error .mark{color:var(--bad)}
.scroll{overflow:auto;max-width:100%;border:1px solid var(--line);border-radius:8px;margin:.6rem 0}
.tall{max-height:34rem}
table{border-collapse:separate;border-spacing:0;font-size:.88rem;min-width:100%;
font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.38rem .7rem;border-bottom:1px solid var(--line);vertical-align:top;
max-width:34rem;overflow-wrap:break-word}
tbody tr:last-child>*{border-bottom:0}
thead th{position:sticky;top:0;background:var(--surface);font-weight:600;z-index:1;white-space:nowrap}
tbody th{font-weight:500}
.number{text-align:right;white-space:nowrap}
.sortable{white-space:nowrap}
.sortable thead th{padding:0}
.sortable thead button{background:none;border:0;font-weight:600;padding:.45rem .7rem;width:100%;
text-align:inherit}
.sortable thead button:hover{color:var(--accent)}
.arrow{display:inline-block;width:1em;color:var(--accent);text-align:center}
th[aria-sort=ascending] .arrow::after{content:"▲";font-size:.7em}
th[aria-sort=descending] .arrow::after{content:"▼";font-size:.7em}
.sortable tbody th{position:sticky;left:0;background:var(--paper)}
.sortable tbody .ensemble th{box-shadow:inset 4px 0 var(--ensemble);font-weight:650}
.sortable tbody .single th{box-shadow:inset 4px 0 var(--single);font-weight:650}
.sortable tbody .baseline th{box-shadow:inset 4px 0 var(--baseline)}
tbody tr:hover>*{background:var(--surface)}
.plot{margin:1rem 0;min-width:0}
figcaption{font-size:.92rem;margin-bottom:.4rem;max-width:74ch;color:var(--muted);overflow-wrap:anywhere}
figcaption strong{color:var(--ink)}
.frame{overflow-x:auto;overflow-y:hidden}
.canvas{width:100%}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:1.2rem 2rem;
align-items:start}
details{margin:.5rem 0}
summary{cursor:pointer;color:var(--accent);font-size:.9rem;width:fit-content}
dl{display:grid;grid-template-columns:minmax(8rem,max-content) minmax(0,1fr);gap:.25rem 1.2rem;
margin:.6rem 0;font-size:.94rem}
dt{color:var(--muted)}
dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
.hash dd{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;
font-size:.84rem}
pre{background:var(--surface);border:1px solid var(--line);border-radius:8px;padding:.8rem 1rem;
overflow:auto;font-size:.86rem;
line-height:1.5;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
ul{padding-left:1.2rem}
.without{border:1px solid var(--printed);border-radius:8px;padding:.6rem 1rem}
@media (max-width:60rem){
.page{display:block}
.side{position:static;height:auto;border-right:0;border-bottom:1px solid var(--line);padding:1rem}
.side .made{margin-bottom:.6rem}
.side ol{display:flex;gap:.2rem;overflow-x:auto;padding-bottom:.3rem}
.side li a{white-space:nowrap;padding:.35rem .6rem}
.side button{width:auto;margin-top:.6rem}
main{padding:1.2rem 1rem 3rem}
}
@media (max-width:30rem){
.cards{grid-template-columns:1fr 1fr}
.card .score{font-size:1.35rem}
.findings li{grid-template-columns:1fr;gap:.1rem}
dl{grid-template-columns:1fr;gap:0}
dd{margin-bottom:.5rem}
}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
@media print{
@page{margin:14mm}
body{font-size:10.5pt}
.page{display:block;max-width:none}
.side,.skip,.without,.wide{display:none}
main{padding:0}
section{padding:1rem 0}
h2,h3,figcaption{break-after:avoid}
.plot,.card,.findings li,tr{break-inside:avoid}
.scroll,.frame,.tall{overflow:visible;max-height:none;border:0}
.sortable,table{white-space:normal;font-size:7.5pt}
th,td{padding:.15rem .3rem}
.sortable thead button{padding:.15rem .3rem}
thead th,.sortable tbody th{position:static}
details:not([open]){display:none}
.grid{grid-template-columns:1fr 1fr}
.card,.findings li,thead th,pre{background:none}
}
"""

CSS = _THEMES + _REST
