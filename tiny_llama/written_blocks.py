"""Block texts written by a seeded grammar, for all eleven labels of DocLayNet.

DocBank, the source of most training blocks, holds scientific articles only: no footnotes or page headers, next to no
words inside pictures, few titles, and nothing of reports, patents, manuals, laws and tenders. The rules below write
such blocks as a PDF text layer gives them, with the cues that tell the labels apart. Every phrase is invented.
"""

import re

import numpy as np

# `name: alternative|alternative`, rules on one line two spaces apart, indented lines going on with the last rule. An
# alternative given twice is twice as likely, ¦ is a literal bar, and a name with a capital is a label. In an
# alternative, {name} is another rule, in the case that its name is written in ({name}, {Name}, {NAME}, or {^name} for
# Title Case), {name*2-5} two to five of it, {1-9} a number (padded to the width of the first one), and {S100-900..} a
# rising or falling run of numbers, each with that prefix.
_RULES = """
# Numbers, dates and names.
page: {1-99}|{10-99}|{100-420}  size: {1-99} mm|{1-40} cm|{1-999} kg|{1-99}.{0-9} V|{1-90} °C|{1-60} min
year: 19{80-99}|20{00-24}|20{05-20}  pct: {1-99}%|{0-99}.{0-9}%|{0-29}.{00-99}%|{1-99} per cent  sur: {syl}{berg}
sum: {1-999}|{1-99},{000-999}|{1-999},{000-999}|({1-999})|({1-99},{000-999})|–|-|{1-999}.{0-9}  abc: a|b|c|d|e|f|g|h
roman: i|ii|iii|iv|v|vi|vii|viii|ix|x|xi|xii  stem: {syl}{tek}|{syl}{tek}|{sur}|First {bank}|United {bank}|{sur} & {sur}
month: January|February|March|April|May|June|July|August|September|October|November|December
mon: Jan.|Feb.|Apr.|Jul.|Sep.|Oct.|Dec.  authors: {sur} et al.|{sur} and {sur}|{ab} {sur}, {ab} {sur} and {ab} {sur}
day: {1-28} {month} {year}|{month} {1-28}, {year}|{01-12}/{01-28}/{year}|{01-28}.{01-12}.{year}|{mon} {1-28}, {year}
money: ${1-999}.{0-9} million|€{1-99}.{0-9} bn|EUR {1-999} million|${1-999},{000-999}|£{1-99}.{0-9}m|{1-99} billion
dec: {0-99}.{0-9}|{0-9}.{00-99}|0.{000-999}|{1-99}.{0-9}  ab: A.|B.|C.|D.|E.|G.|H.|J.|K.|L.|M.|N.|P.|R.|S.|T.|J.-P.
syl: Al|Bren|Car|Dor|El|Fen|Gar|Hol|Kar|Lan|Mar|Nor|Os|Pel|Ros|Sten|Tor|Val|Wes|Yar|Bach|Chan|Kow|Mori|Ser|Tak|Zim
berg: berg|den|ford|ham|ley|man|mont|sen|son|ton|wick|well|er|ing|low|ini|ov|ez|eau|ski|moto|ada|esh|ić|ström|stad|elli
first: Anna|Ben|Frank|Hugo|James|Kenji|Wei|Ines  web: www.{syl}{tek}.com|http://www.{syl}{ville}.org/{trade}/{1-999}.pdf
person: {first} {sur}|{ab} {sur}|{first} {ab} {sur}|Dr. {first} {sur}  ville: ville|burg|port|haven|dale|bridge|minster
role: Chief Executive Officer|Chairman|President|Director of Research|Chief Financial Officer|Company Secretary|Partner
tek: tek|dyne|via|max|con|gen|nova|net|oil|soft|tron|corp|data  bank: Bank|Energy|Foods|Motors|Insurance|Mining|Power
firm: {stem} plc|{stem} Inc.|{stem} N.V.|{stem} AG|{stem} Ltd.|{stem} S.A.|{stem} Group|{stem} Holdings|{stem} Co., Ltd.
place: {syl}{ville}|{syl}{ville}|Germany|Brazil|Japan|North America|Europe|India|Kenya|Asia Pacific|the Baltic States
law: Regulation (EU) No {10-999}/{year}|Directive {year}/{1-99}/EC|the {^realm} Act {year}|Decree {1-999}-{01-99}
realm: public procurement|water resources|consumer credit|data protection|fisheries|land use|road traffic|food safety
journal: Journal of {^field}|Annals of {^field}|{^field} Letters|Proc. {^field} Conf.|Int. J. {^field}|{^field} Review
field: applied optics|cell biology|machine learning|fluid dynamics|soil science|robotics|labour economics|linguistics
patent: US {7-11},{100-999},{000-999} B{1-2}|US {2005-2022}/0{100000-399999} A1|EP {1-3} {100-999} {000-999} B1
# Things and deeds of reports, patents and manuals, laws and tenders, articles.
fin: {net} {loans}|{net} {loans}|goodwill|dividends paid|cost of sales|property, plant and equipment|interest expense|
  cash and cash equivalents|earnings per share  testing: manufacturing|controlling|cleaning|testing|replacing|installing
net: net|gross|deferred|consolidated|short-term|long-term|other|current|non-current|accrued|total|trade|operating
loans: receivables|borrowings|revenue|income|expenses|liabilities|provisions|assets|inventories|loans|payables|premiums
rose: increased|decreased|rose|fell|improved|declined|grew  upper: upper|lower|first|second|rotary|inner|removable|left
trade: packaging|automotive|insurance|dairy|cement|wireless|retail|textile  num: {10-99}|{1-4}{00-98}|{10-29}{abc}
cause: lower prices|higher sales in {place}|the acquisition of {firm}|currency effects|the disposal of the {trade}
  business|restructuring charges  device: {use} device|{use} system|{part} assembly|method of {testing} a {part}
we: the Group|the Company|{firm}|our {trade} segment|the Bank|the Board|management  plate: unit|plate|body|port|holder
part: {upper} {valve}|{valve}|{valve}|{valve} {plate}  button: Start|OK|Menu|Settings|Power|Reset|Save|Print|Cancel|Mode
valve: housing|valve|shaft|sensor|lever|nozzle|spring|substrate|display|battery|processor|memory|cover|filter|pump|
  switch|motor|gear|roller|cartridge|fan|tray  study: approach|model|analysis|survey|study|algorithm|simulation|review
use: image forming|fuel injection|wireless charging|drug delivery|data storage|beam steering|fluid metering|cell sorting
fixed: coupled|attached|electrically connected|fixed|mounted|secured  unit: s|mm|%|keV|€ million|$ bn|°C|dB|GHz|a.u.
task: replace the {part}|install the {part}|connect the {part} to the {part}|print a report|add a new user|clean the
  {part}  job: construction of a road bridge|maintenance of {goods}|supply of {part}s|consultancy services for {realm}
body: the competent authority|the Minister|the Commission|each Member State|the licence holder|the applicant|the
  Contractor|the Bidder  paper: annual return|licence|tender|bid security|certificate|declaration|permit|price schedule
duty: submit the {paper}|keep a register of {goods}|notify {body}|publish the {paper}|inspect the {goods}|review {goods}
goods: premises|vessels|accounts|complaints|vehicles|records|deliveries|invoices|chemicals|subcontractors|school books
jets: neural networks|galaxy clusters|thin films|random graphs|coral reefs|supply chains|language models|turbulent jets
mass: stability|variance|growth rate|accuracy|mortality|entropy|conductivity|convergence|mass|diversity|symmetry|density
sparse: adaptive|Bayesian|nonlinear|large-scale|robust|stochastic|sparse|multiscale  ex: A|B|CX|DR|EX|GT|HP|K|LT|RS|TX|V
# Titles and headings.
Title: {^report}|{firm} {^report}|{FIRM} {REPORT}|{Act}|{ACT}|{^act}|{^guide}|{GUIDE}|{^call}|{CALL}|{INVENTION}|
  {^invention}|(54) {INVENTION}|{^article}|{^article}|{Article}|{ARTICLE}|{firm}|{^job}, {place}|{^product} {model}
report: annual report {year}|annual report and accounts {year}|{year} sustainability report|half-year report {year}|
  interim report {month} {year}  product: {use} system|digital {part}|{stem} studio|laser printer|{trade} server
act: {decree} on {goods} and {realm}|{decree} concerning the {paper} for {goods}|{realm} (amendment) regulations {year}|
  {decree} laying down rules for {realm} in {place}  model: {ex}-{100-9900}|{ex}{10-99}{ex}|{stem} {100-990}
decree: regulation|directive|decision of {day}|regulation No {1-999}/{year}|order of {body}|code of practice|ordinance
guide: {model} {manual}|{product} {model} {manual}|{manual} for {product} {model}|{product} {1-12}.{0-9} {manual}
manual: user manual|installation guide|operating instructions|quick start guide|release notes|service manual
call: invitation to tender for the supply of {trade} equipment|request for proposals no. {10-999}/{year}: {job}|tender
  no. {100-999}: {job} in {place}  doc: {report}|{act}|{guide}|{call}|{article}  do: rotate|detect|release|guide|store
invention: {sparse} {device}|{device} and {device}|{device} having a {part}|{part} for a {device}|{device} with {part}
article: {sparse} {study} of {jets}|{sparse} {study} for the {mass} of {jets}|on the {mass} of {sparse} {jets}|{mass}
  and {mass} in {jets}: a {sparse} {study}|how {jets} affect the {mass} of {jets} in {place}
head: {fin}|{fin} and {fin}|{trade} segment in {place}|risk of {fin}|outlook for {year}|{fin} in {place}|report of {we}|
  {device}|background of the {device}|{sparse} embodiment of the {part}|{task}|to {task}|{testing} the {part}|before you
  {task}|{part} settings|{use} in {year}|scope of the {paper}|{paper} and {paper}|duties of {body}|{goods} and {goods}|
  {paper} requirements|{realm} and {realm}|fees for {goods}|related work on {jets}|{mass} of {jets}|{sparse} {study}|
  estimating the {mass} of {jets}|{sparse} {jets}|{known}
known: introduction|results and discussion|conclusions|definitions|entry into force|summary of the invention|technical
  field|brief description of the drawings|safety precautions|final provisions|acknowledgements|risk factors|appeals
secno: {1-12}|{1-12}.|{1-9}.{1-9}|{1-9}.{1-9}|{1-9}.{1-9}.{1-9}|{ROMAN}.|{ABC}.|({abc})|Note {1-40}.|{1-40}|Article
  {1-180}|Section {1-40}.|§ {1-200}|Chapter {1-20}|Step {1-9}:|Part {ROMAN} –|Annex {ROMAN}|{ABC}.{1-9}|ITEM {1-15}.
Section-header: {secno} {^head}|{secno} {^head}|{secno} {^head}|{secno} {Head}|{secno} {Head}|{secno} {HEAD}|{secno}
  {HEAD}|{^head}|{Head}|{HEAD}|{Head}:|{secalone}|{question}|{^head} (continued)
secalone: Article {1-300}|Section {1-99}.{1-20}|CHAPTER {1-40}|Art. {1-200}|EXHIBIT {1-99}.{1-20}|Example {1-90}
question: Why does {mass} matter for {jets}?|How do I {task}?|When must {body} {duty}?|Why {sparse} {jets}?
# Page headers, page footers and footnotes.
Page-header: {running}|{running} {page}|{page} {running}|{running} {bar} {page}|{page} {bar} {running}|{sheet}|{sheet}|
  {sheet}  books: consolidated financial statements|financial statements {year}|parent company accounts  bar: ¦|–|/|•|—
running: {^doc}|{DOC}|{firm}|{firm} {^report}|Notes to the {books}|{Article}|Chapter {1-20} {^head}|{secno} {^head}|
  {authors}|{FIRM} {BOOKS}|{^product} {^manual}|{HEAD}|{Law}|{journal}, vol. {1-90}, no. {1-12}, {year}|{firm} – {^head}
sheet: {patent}|U.S. Patent {mon} {1-28}, {year} Sheet {1-9} of {9-30} {patent}|{mon} {1-28}, {year} Sheet {1-30} of
  {30-40}|Patent Application Publication {day} {patent}|{AB} {SUR} AND {AB} {SUR}|{1-60} {1-60}|{page}|{day}|L
  {1-300}/{1-99} EN {day}|{journal} {1-600} ({year}) {10-999}–{1000-1900}|{secret}|Tender No. {10-999}/{year} – {^job}
secret: {firm} Confidential|CONFIDENTIAL – {^doc}|{model} – Internal Use Only|Restricted: {firm}|Draft {day} – {^head}
Page-footer: {page}|{page}|{pageno}|{foot}|{foot}|{foot}|{foot}|{foot} {page}|{page} {foot}|{foot} {bar} {page}
pageno: Page {page}|Page {page} of {200-420}|- {page} -|{roman}|{ABC}-{1-60}|F-{1-99}|{1-20}-{1-60}|{1-20}/{20-90}
foot: {firm}|{^report}|{firm} {^report}|© {year} {firm}|Copyright © {year}, {firm}. All rights reserved.|{web}|{secret}|
  {^product} {^manual}|Rev. {ABC} {01-12}/{year}|Document No. {model}|{day}|{Law}|See accompanying notes to the
  {books}.|{^head}|{web} {bar} {firm}|Part No. {10-99}-{1000-9999}|Version {1-9}.{0-9} – {day}|Printed {day}
Footnote: {sign} {note}|{sign} {note}|{sign} {note}|{sign}{note}|{sign} {note} {note}|{sign} {note} {sign} {note}|Note:
  {note}  sign: {1-40}|{1-140}|({1-9})|*|**|†|‡|({abc})|{abc}|[{1-20}]|{1-9})|¹|²|³|{1-9}.|{abc})
note: See Note {1-40} to the {books}.|Excludes {fin} of {money}.|Figures for {year} restated for the change in {fin}.|As
  defined in {law}.|OJ L {1-350}, {day}, p. {page}.|Case C-{1-700}/{01-22}, {stem} v {stem}, paragraph {1-120}.|{stem}
  v. {stem}, {100-999} F.{2-3}d {1-999} ({year}).|Ibid., p. {page}.|{authors}, “{^article},” {journal}, {year}, pp.
  {10-99}–{100-199}.|Available at {web} (accessed {day}).|{law}, Art. {1-120}({1-9}).|Source: {firm}, {year}.|We thank
  {person} for comments on the {mass} of {jets}.|Corresponding author. E-mail: {abc}.{sur}@{syl}{tek}.com|The term
  “{paper}” also covers {goods} under {law}.|Only for model {model}.|Significant at the {1-10}% level.|Before {fin}.
# The words inside charts, diagrams, drawings, maps, screens and logos; strokes of ink read as signs.
Picture: {chart}|{chart} {chart}|{chart}|{slice*3-6}|{box*4-9}|{box*3-6} Yes No {box*2-4}|START {step*2-5} END|
  {drawing}|{drawing}|{drawing}|{screen}|{place*3-8}|{place*2-5} 0 {10-90} {100-190} km|{logo}|{stroke*4-12}|{atom*4-12}
chart: {0-9..} {axis} {1990-2009..}|{0-0..} {axis} {axis} {0-50..}|{axis} {sum*4-9} {legend*2-4}|{pct*2-5}
  {1995-2009..}|Q1 Q2 Q3 Q4 {^fin} {sum*4-6}|10 0 10 {1-2} 10 {3-4} {axis} {legend*1-4}|0 0.2 0.4 0.6 0.8 1 {axis}
axis: {Mass} ({unit})|{^fin}|{mass} of {jets}|Time ({unit})|Number of {goods}  tag: {ABC}|{ABC}{1-9}|{mon}|n = {1-99}
legend: {Sparse} {study}|{place}|{Fin}|{sur}|{Trade}|{jets}|{year}|{tag}  logo: {stem}|{STEM}|{firm}|{stem} since {year}
slice: {legend} {pct}|{pct} {place}|{^fin} {pct}  step: {DO} {PART}|{Do} {part}?|{S100-900..}|{TESTING} {PART}
box: {Part}|{PART}|{^use}|{tag}|{role}|{^paper}|CPU|{num}  stroke: ~|o~|,,,|---|.-''|_/|/|{num}|.....|•|:~|l|I|°
drawing: FIG. {1-20} {num*3-9}|FIG. {1-20}{ABC} {10-900..}|{num*4-14}|{10-900..} FIG. {1-20}|{S100-900..} {step*2-5}|
  FIG. {1-9}A FIG. {1-9}B {num*4-9}  atom: CH 3|OH|N|O|H|R {1-9}|HO|NH 2|Cl|COOH|n|(|)|F|S|Br
screen: File Edit View Help {button*2-5} {Task}|{button*3-6} {^part} {sum*1-3}|☐ {Task} ☐ {Task} {button} {button}
# Formulae; the sums and integrals of TeX are often read as X and Z.
Formula: {eq}|{eq} ({1-40})|{eq} ({1-9}.{1-40})|{eq}, ({1-60})|{eq}.|{eq} ({ABC}.{1-20})|{eq} , {eq}|{ratio}|{chem}|
  {ineq}|{ineq} ({1-40})  term: {var}|{fx}|{dec} {var}|{var} {var}|{1-9} {greek}{v}|log {var}|({var} − {var} ) 2
eq: {lhs} = {expr}|{lhs} = {expr}|{lhs} = {expr} = {expr}|{lhs} ≡ {expr}|{lhs} ≈ {expr}|{expr} = 0  op: +|−|+|−|·|×|/
ineq: {lhs} ≤ {expr}|{lhs} ≥ {expr}|0 < {var} < {term}|{lhs} ∼ N ({var}, {var} 2 )|¦{expr}¦ ≤ {term}|min {v} {expr} s.t.
  {lhs} ≤ {term}  chem: {mol} + {mol} → {mol} + {mol}|{mol} + {mol} ⇌ {mol} ({1-30})|R {1-9} —{atom}—R {1-9} ({ROMAN})
ratio: {Fin} = {fin} / {fin} × 100|{Fin} = {fin} − {fin}|{Mass} (%) = {mass} {mass} × 100  f: f|g|h|F|u|φ|P|sin|cos|ln
lhs: {var}|{var}|{fx}|d{v} d{v}|∂{v} ∂{v}|{greek} ({v}, {v})|∇ · {v}|{v} ˆ {i}|E [{var}]  i: i|j|k|t|n|0|1|2|max|ij
expr: {term}|{term} {op} {term}|{term} {op} {term} {op} {term}|{big} {term}|{frac}|{big} {frac}|( {term} {op} {term} )
  {var}|exp ( − {frac} )  var: {v}|{v} {i}|{greek}|{greek} {i}|{v} {i}{i}|{v} {i}+1|{v} ′|{v} T|{v} (t)
fx: {f} ({v})|{f} {i} ({var})|{f}({v}, {v})|{f} ( {v} ¦ {greek} )  greek: α|β|γ|δ|ε|θ|λ|μ|π|ρ|σ|τ|φ|ψ|ω|Γ|Φ
frac: {term} {term}|{term} / {term}|1 {term}|∂{v} ∂{v}  big: ∑ {i}|n ∑ {v}=1|X {i}|N X {v}=1|∫ {v} 0|Z ∞ 0|∏ {i}
v: a|b|c|d|h|k|m|n|p|q|r|s|t|u|v|w|x|y|z|A|B|E|H|K|P|T|V  mol: H 2 O|CO 2|O 2|2 H +|CH 4|NH 3|e −|C {2-9} H {4-20}
# Tables, row by row, and captions.
Table: {year} {year} {row*3-9}|Note {year} {year} {noted*3-8}|{month} {1-31}, {year} {year} {row*2-7} Total {sum} {sum}|
  {scale} {year} {year} {year} {wide*2-7}|Parameter Min. Typ. Max. Unit {spec*2-7}|Method {Mass} {Mass} F1 {result*3-7}|
  Sample n Mean SD p {result*3-7}|{toc*4-10}|No. Description Qty {bill*2-6}|{pair*3-7}|Name Position Appointed
  {member*2-6}|{row*3-8}|{wide*2-7}  scale: in € million|$'000|(in thousands, except per share data)
row: {Fin} {sum} {sum}|{Fin} {sum} {sum}|Total {fin} {sum} {sum}|{Fin} {dec}% {dec}%  member: {person} {role} {year}
noted: {Fin} {1-40} {sum} {sum}|{row}  bill: {1-30} {Part} {1-20}|{1-30} {Part}, {size} {1-9}
wide: {Place} {sum*3-4}|{Fin} {sum*3-5}|{Trade} {dec*3-4}|{Fin} $ {sum} $ {sum} $ {sum}
spec: {Part} {mass} {dec} {10-99} {100-999} {unit}|{Part} voltage V {i} {dec} – {10-48} V
result: {sur} {dec*3-4}|{Sparse} {study} {dec} ± {dec} {dec}|{syl}Net-{1-99} {dec*2-4}|{Mass} −{dec} ({dec})
toc: {secno} {^head} {page}|{^head} ........ {page}|{secno} {Head} . . . . . {page}|{^head} {page}
pair: {Part} {size} {size}|{Part} Yes No|{Part} {model} {model}|Max. {mass} {size}|{Paper} {day}|{Job} {mon} {mon}
Caption: {figno} {about}|{figno} {about}|{figno} {about}|{figno} {about}|{figno} {about} {more}|{view}|{bare}|{bare}
figno: Figure {1-40}:|Figure {1-40}.|Fig. {1-30}.|Figure {1-12}.{1-30}|Figure {1-12}-{1-30}|FIG. {1-9}:|Table {1-30}.|
  Table {1-30}:|Chart {1-20}:|Table {1-12}.{1-20}|TABLE {ROMAN}|Fig. {1-20} ({abc})|Exhibit {1-20}:|Map {1-9}:
about: {Mass} of {jets} as a function of {mass}.|{Fin} by region, {year}|{Fin} and {fin}, {scale}|{Sparse} {study} of
  {jets}.|Location of {goods} in {place}|How to {task}|Criteria for the {paper}|{Trade} sales in {place}, {year}
more: Error bars show the {mass}.|Dashed lines: {sparse} {study}.|({abc}) {Mass}. ({abc}) {Jets}.|Source: {firm}.
view: FIG. {1-30} is a side view of the {part} of FIG. {1-9};|FIG. {1-30} is a block diagram of a {device}.|FIG.
  {1-9}{abc} shows the {part} {num}.|[Chemical Formula {1-90}]|Exhibit {ABC} – {^article}|TABLE {1-60}-continued
bare: {person}, {role}, {firm}|{person} {role}|{^fin} {year}|{Job} in {place}. Photo: {person}|{Place}: the
  {trade} plant in {year}|{Fin} by {place} and {place}, {scale}
# List items and running text; the bullets of symbol fonts are read as private-use or odd characters.
List-item: {mark} {item}|{mark} {item}|{mark} {item}|{item}|{bullet} {item} {lawsays}|{claim}|{source}
mark: {bullet}|{bullet}|{1-20}.|{1-20})|({1-12})|({abc})|{abc})|{abc}.|({roman})|{roman}.|{1-9}.{1-9}|{1-9}.{1-9}.{1-9}
bullet: •|•|•|–|-|▪|■|►|✓|o|·|*|●|\uf0b7|\uf0a7|§|n|□|→
item: {Task}.|{Body} shall {duty} within {2-90} days;|{duty}; and|where {body} has failed to {duty};|{cause};|{Task} and
  press {button}.|{Cause}|{fin}; {goods};|the {paper} of {body}, including {goods};|{Part} ({size})|{person}, {role}|
  experience in {realm} of at least {2-15} years;|“{paper}” means any {paper} issued by {body} under {law};
claim: {1-40}. The {device} of claim {1-20}, wherein the {part} is {fixed} to the {part}.|a {part} configured to {do}
  the {part}; and|{1-40}. A {device} comprising: a {part}; and a {part} {fixed} to the {part}.
source: [{1-90}] {authors} {Article}. {journal}, {1-90}({1-12}):{10-99}–{100-199}, {year}.|{sur}, {ab} ({year}).
  {^article}. {Place}: {stem} Press.
Text: {finsays*1-5}|{patsays*1-4}|[{0001-0300}] {patsays*1-4}|{mansays*1-4}|{lawsays*1-4}|{scisays*1-5}|{short}
finsays: {Fin} {rose} by {pct} to {money} in {year}, mainly due to {cause}.|This was partly offset by {cause}.|{We}
  recorded {fin} of {money}, compared with {money} in {year}.|At {day}, {fin} amounted to {money} (prior year:
  {money}).|{Fin} may be affected by {cause} and {cause}.|“We are proud of our {trade} teams in {place},” says
  {person}, {role}.|{We} expects {fin} to remain stable.
patsays: As shown in FIG. {1-20}, the {part} {num} is {fixed} to the {part} {num} by a {part} {num}.|The present
  invention relates to a {device} and, more particularly, to a {part} for {testing} a {part}.|The {part} {num} has a
  width of {1-40} mm, preferably less than {1-40} mm.|In step S{100-900}, the {part} {num} starts to {do} the {part}.
mansays: To {task}, press the {button} button and hold it for {1-20} seconds.|Before you {task}, make sure that the
  {part} is {fixed} to the {part}.|WARNING: Never {do} the {part} while it is hot.|If the {part} fails to {do} the
  {part}, {task} and try again.|Select {button} from the {button} menu.|For details on how to {task}, see page {page}.
lawsays: {Body} shall {duty} within {2-90} days of receiving the {paper}.|For the purposes of {law}, {goods} include
  {goods}.|Where {body} has not complied with {law}, {body} may {duty}.|No {paper} may be issued unless {body} has
  agreed to {duty}.|Sealed offers must reach {body} in {place} before {day}.|This Article applies to {goods}.
scisays: We show that the {mass} of {jets} depends on the {mass} and not on the {mass}.|{sur} et al. [{1-60}] studied
  {sparse} {jets} and found a {mass} of {pct}.|In this paper, we present a {sparse} {study} of {jets}.|Let
  {v} {i} denote the {mass} of the {v}-th sample.|However, {sparse} methods often fail when {jets} have low {mass}.
short: Dear Shareholders of {firm},|{person} {role}|{place}, {day}|(73) Assignee: {firm}, {place}|Keywords: {jets},
  {mass}, {sparse} {study}|where {v} {i} is the {mass} of {jets}.|The {goods} of {we} are as follows:|
  {person}, Department of {^field}, University of {place}
"""

_GRAMMAR = {
    name: [" ".join(alternative.split()).replace("¦", "|") for alternative in body.split("|")]
    for name, body in re.findall(r"(?:\n|(?<=\S)  )([\w-]+): (.+?)(?=\n\S|(?<=\S)  |\n\Z)", _RULES, re.DOTALL)
}
_SLOT = re.compile(r"\{(?:([A-Z]?)(\d+)-(\d+)(\.\.)?|(\^?)([A-Za-z]\w*)(?:\*(\d+)-(\d+))?)\}")
_TITLE_LETTER = re.compile(r"(?<![^\s(“])(?!(?:a|an|and|as|at|by|for|from|in|no|of|on|or|the|to|under|with)\b)[a-z]")
_A_BEFORE_VOWEL = re.compile(r"\b([aA]) (?!use|uni)(?=[aeiou][a-z]{2})")


def written_block(label: str, generator: np.random.Generator) -> str:
    """An invented block of class `label` on one line, single-spaced; the same for the same state of `generator`."""
    if label not in _GRAMMAR or label.islower():
        raise ValueError(f"not a label of DocLayNet: {label!r}")
    return _printed(_expanded(label, generator), label, generator)


def _expanded(rule: str, generator: np.random.Generator) -> str:
    alternatives = _GRAMMAR[rule]
    chosen = alternatives[generator.integers(len(alternatives))]
    phrase = _SLOT.sub(lambda slot: _filled(slot, generator), chosen)
    return _A_BEFORE_VOWEL.sub(r"\1n ", phrase)


def _filled(slot: re.Match[str], generator: np.random.Generator) -> str:
    prefix, low, high, is_run, is_title, rule, fewest, most = slot.groups()
    if rule is None:
        first = int(generator.integers(int(low), int(high) + 1))
        return _run(prefix, first, generator) if is_run else f"{first:0{len(low)}}"
    times = generator.integers(int(fewest), int(most) + 1) if fewest else 1
    phrase = " ".join(_expanded(rule.lower(), generator) for _ in range(times))
    if is_title:
        phrase = _TITLE_LETTER.sub(lambda letter: letter[0].upper(), phrase)
    if is_title or rule[0].isupper():
        phrase = phrase[:1].upper() + phrase[1:]
    return phrase.upper() if rule.isupper() else phrase


def _run(prefix: str, first: int, generator: np.random.Generator) -> str:
    step = generator.choice((1, 1, 2, 5, 10))
    numbers = [f"{prefix}{first + step * index}" for index in range(generator.integers(2, 10))]
    # The ticks of a vertical axis and the years of a table often come with the greatest first.
    return " ".join(numbers[::-1] if generator.random() < 0.3 else numbers)


def _printed(block: str, label: str, generator: np.random.Generator) -> str:
    words = block.split()
    # Some paragraphs run over two columns or pages: a block is one half of them.
    if label == "Text" and len(words) > 12 and generator.random() < 0.25:
        cut = generator.integers(1, len(words) - 6)
        words = words[cut:] if generator.random() < 0.5 else words[:-cut]
    # Some text layers keep the hyphens of broken lines.
    if label in ("Text", "List-item", "Footnote") and generator.random() < 0.2:
        for index in range(generator.integers(5, 15), len(words), 13):
            if words[index].isalpha() and len(words[index]) > 6:
                words[index] = f"{words[index][:4]}- {words[index][4:]}"
    return " ".join(words)
