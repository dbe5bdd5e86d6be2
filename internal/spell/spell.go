// Package spell tells how far a word is from another, so that a refusal can name what may have been meant.
package spell

// Edits is how many bytes must be changed, put in or left out to make b of a (Levenshtein's distance). It takes
// len(a) * len(b) steps: the caller bounds both.
func Edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
