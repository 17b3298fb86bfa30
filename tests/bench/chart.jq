# SPDX-License-Identifier: GPL-2.0-or-later
# bench.json as an SVG chart: a line for each row, how far it is beyond its target (the
# vertical line), with the interval of the median.
include "table";

def text_escaped: gsub("&"; "&amp;") | gsub("<"; "&lt;") | gsub(">"; "&gt;");

def left: 470;
def track: 400;
def most: 2;		# target x 2 is the right end
def top: 70;
def step: 26;

# A figure as a multiple of the target: above 1 is better, whichever way it counts.
def beyond($row):
  if . == null or . == 0 then null
  elif $row.at_least and $row.at_most then [. / $row.at_least, $row.at_most / .] | min
  elif $row.at_least then . / $row.at_least
  else $row.at_most / . end;

def x: left + ([., most] | min) / most * track | . * 10 | round / 10;

def colour: if .met then "#2e7d4f" else "#b3372f" end;

def mark($y): . as $row
  | (.median | beyond($row)) as $at
  | (.interval.low | beyond($row)) as $a | (.interval.high | beyond($row)) as $b
  | "<line x1=\"\([$a, $b] | min | x)\" x2=\"\([$a, $b] | max | x)\" y1=\"\($y)\" y2=\"\($y)\" stroke=\"\(colour)\" stroke-width=\"7\" stroke-opacity=\"0.35\" stroke-linecap=\"round\"/>"
  + if $at > most then
      "<path d=\"M\(most | x) \($y - 5) l9 5 l-9 5 z\" fill=\"\(colour)\"/>"
    else "<circle cx=\"\($at | x)\" cy=\"\($y)\" r=\"5\" fill=\"\(colour)\"/>" end;

def row_lines($i): (top + 20 + $i * step) as $y
  | "<text x=\"\(left - 14)\" y=\"\($y + 4)\" text-anchor=\"end\">\(.title | text_escaped)</text>"
  + "<line x1=\"\(left)\" x2=\"\(left + track)\" y1=\"\($y)\" y2=\"\($y)\" stroke=\"#e4e4e4\"/>"
  + (if (.at_least // .at_most) and .median then mark($y) else "" end)
  + "<text x=\"\(left + track + 22)\" y=\"\($y + 4)\" fill=\"\(if .met == false then "#b3372f" else "#222" end)\">"
  + ("\(.median | figure)" + (if (.limits | length) == 0 then " " + ((.unit // .metric) | unit) else "" end)
     + (if .at_least or .at_most then " (\(target))" else "" end)
     + (if .profile != "full" then ", \(.profile)" else "" end) | text_escaped)
  + "</text>";

def chart:
  (top + 20 + (.rows | length) * step) as $bottom
  | "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1060\" height=\"\($bottom + 50)\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">",
    "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>",
    "<text x=\"20\" y=\"28\" font-size=\"17\" font-weight=\"bold\">\(.title | text_escaped)</text>",
    "<text x=\"20\" y=\"48\" fill=\"#666\">to the right of the line is better than the target; the bar is the interval of the median</text>",
    "<line x1=\"\(1 | x)\" x2=\"\(1 | x)\" y1=\"\(top)\" y2=\"\($bottom - 8)\" stroke=\"#222\" stroke-dasharray=\"3 3\"/>",
    "<text x=\"\(1 | x)\" y=\"\($bottom + 8)\" text-anchor=\"middle\" fill=\"#666\">target</text>",
    "<text x=\"\(left)\" y=\"\($bottom + 8)\" text-anchor=\"middle\" fill=\"#666\">0</text>",
    "<text x=\"\(most | x)\" y=\"\($bottom + 8)\" text-anchor=\"middle\" fill=\"#666\">x \(most)</text>",
    (.rows | to_entries[] | .key as $i | .value | row_lines($i)),
    "<text x=\"20\" y=\"\($bottom + 34)\" fill=\"#666\">\(.machine | machine | text_escaped)</text>",
    "</svg>";
