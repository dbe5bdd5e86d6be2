package demo

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	cellWidth = 14 // of one node in the picture
	boxWidth  = 10 // of its box
	maxCells  = 8  // wider systems are told in words
)

// picture draws the system: cores above, edges below, devices at their feet.
func picture(cores, edges []string, devicesAt []int) string {
	if max(len(cores), len(edges)) > maxCells {
		return fmt.Sprintf("  %d cores (a full mesh) ── %d edges ── devices\n", len(cores), len(edges))
	}
	width := cellWidth * max(len(cores), len(edges))
	up, down := centres(len(cores), width), centres(len(edges), width)
	var b strings.Builder
	row := func(note string, cells ...string) {
		line := strings.TrimRight(strings.Join(cells, ""), " ")
		if note != "" {
			line += strings.Repeat(" ", max(0, width-utf8.RuneCountInString(line))) + "   " + note
		}
		b.WriteString("  " + line + "\n")
	}
	row("", place(width, up, repeat(len(cores), "┌────────┐"), " "))
	row("cores find each other by gossip and link up in a full mesh", place(width, up, boxed(cores), meshGap(up)))
	row("", place(width, up, repeat(len(cores), "└───┬────┘"), " "))
	row("each uplink runs through a proxy, to be cut", bus(width, up, down))
	row("", place(width, down, repeat(len(edges), "┌───┴────┐"), " "))
	row("edges keep sessions, and what must go up, on disk", place(width, down, boxed(edges), " "))
	row("", place(width, down, repeat(len(edges), "└───┬────┘"), " "))
	var fleet []string
	for _, n := range devicesAt {
		fleet = append(fleet, fmt.Sprintf("%d devices", n))
	}
	verified := "each site is verified at the next edge"
	if len(edges) == 1 {
		verified = "a verifier listens beside them"
	}
	row(verified, place(width, down, fleet, " "))
	return b.String()
}

// centres spreads n cells evenly over width.
func centres(n, width int) (at []int) {
	for i := range n {
		at = append(at, (2*i+1)*width/(2*n))
	}
	return at
}

func repeat(n int, s string) (all []string) {
	for range n {
		all = append(all, s)
	}
	return all
}

// boxed puts names between the sides of their boxes.
func boxed(names []string) (all []string) {
	for _, name := range names {
		const inner = boxWidth - 2
		if len(name) > inner {
			name = name[:inner]
		}
		left := (inner - len(name)) / 2
		all = append(all, "│"+strings.Repeat(" ", left)+name+strings.Repeat(" ", inner-len(name)-left)+"│")
	}
	return all
}

// meshGap is what stands between cores: a link, when there is more than one.
func meshGap(at []int) string {
	if len(at) > 1 {
		return "═"
	}
	return " "
}

// place writes texts around their centres; gap fills between the first and the last.
func place(width int, at []int, texts []string, gap string) string {
	line := []rune(strings.Repeat(" ", width))
	if len(at) > 1 && gap != " " {
		for x := at[0]; x < at[len(at)-1]; x++ {
			line[x] = []rune(gap)[0]
		}
	}
	for i, text := range texts {
		runes := []rune(text)
		start := at[i] - boxWidth/2 + (boxWidth-len(runes))/2
		for j, r := range runes {
			if x := start + j; x >= 0 && x < width {
				line[x] = r
			}
		}
	}
	return string(line)
}

// bus joins the feet of the cores with the heads of the edges.
func bus(width int, up, down []int) string {
	const foot = -1 // the joint stands one left of a box's centre
	marks := map[int]string{}
	lo, hi := width, 0
	for _, x := range append(append([]int{}, up...), down...) {
		lo, hi = min(lo, x+foot), max(hi, x+foot)
	}
	for _, x := range up {
		marks[x+foot] = "┴"
	}
	for _, x := range down {
		if marks[x+foot] == "┴" {
			marks[x+foot] = "┼"
		} else {
			marks[x+foot] = "┬"
		}
	}
	return drawBus(lo, hi, marks)
}

func drawBus(lo, hi int, marks map[int]string) string {
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", lo))
	for x := lo; x <= hi; x++ {
		switch mark := marks[x]; {
		case mark == "":
			b.WriteString("─")
		case x == lo && lo < hi:
			b.WriteString(map[string]string{"┴": "└", "┬": "┌", "┼": "├"}[mark])
		case x == hi && lo < hi:
			b.WriteString(map[string]string{"┴": "┘", "┬": "┐", "┼": "┤"}[mark])
		case lo == hi:
			b.WriteString("│")
		default:
			b.WriteString(mark)
		}
	}
	return b.String()
}
