//go:build race

package mqtt

// spoilsLoans has End overwrite the bytes of what was lent, so that tests show who has kept them.
const spoilsLoans = true
