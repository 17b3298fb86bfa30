# SPDX-License-Identifier: GPL-2.0-or-later
# Where the arm of the simulated disk was, as an SVG: a panel for each side, all with the
# same scales. Input: {title, seconds, bytes, sides: [{name, title, strokes}]}, a stroke
# for each moment and kind of work: [moment of `moments`, "r" or "w", lowest, highest byte].
def text_escaped: gsub("&"; "&amp;") | gsub("<"; "&lt;") | gsub(">"; "&gt;");

def left: 70;
def width: 900;
def height: 220;
def top: 70;
def gap: 56;

def short: . * 10 | round / 10;

def panel($all; $i): (top + $i * (height + gap)) as $y
  | def at: $y + height - . / $all.bytes * height | short;
    def path($kind): [.strokes[] | select(.[1] == $kind)
      | (left + .[0] / $all.moments * width | short) as $x
      # a line of one point would not be seen
      | "M\($x) \([.[3] | at, ($y + height)] | min)V\((.[2] | at) + 0.8 | short)"] | join("");
  "<text x=\"\(left)\" y=\"\($y - 8)\">\(.title | text_escaped)</text>",
  "<rect x=\"\(left)\" y=\"\($y)\" width=\"\(width)\" height=\"\(height)\" fill=\"#fafafa\" stroke=\"#ccc\"/>",
  (range(0; 5) | . as $n | ($n * $all.bytes / 4) as $bytes
   | "<text x=\"\(left - 8)\" y=\"\($bytes | at + 4)\" text-anchor=\"end\" fill=\"#666\">\($bytes / 1073741824 * 100 | round / 100)</text>"),
  "<path d=\"\(path("w"))\" stroke=\"#2e5c8a\" stroke-width=\"1.1\" fill=\"none\"/>",
  "<path d=\"\(path("r"))\" stroke=\"#c07020\" stroke-width=\"1.1\" fill=\"none\"/>";

def heads:
  . as $all | (.sides | length) as $count | (top + $count * (height + gap)) as $bottom
  | (first((1, 2, 5, 10, 20, 50, 100, 1000) | select($all.seconds / . <= 12))) as $step
  | "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1000\" height=\"\($bottom + 20)\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">",
    "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>",
    "<text x=\"20\" y=\"28\" font-size=\"17\" font-weight=\"bold\">\(.title | text_escaped)</text>",
    "<text x=\"20\" y=\"47\" fill=\"#666\">position of the head in GiB over time in seconds; blue: writing, orange: reading</text>",
    (.sides | to_entries[] | .key as $i | .value | panel($all; $i)),
    (range(0; $all.seconds / $step | floor + 1) | . * $step
     | "<text x=\"\(left + . / $all.seconds * width | short)\" y=\"\($bottom - gap + 18)\" text-anchor=\"middle\" fill=\"#666\">\(.)</text>"),
    "</svg>";
