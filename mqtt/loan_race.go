//go:build race

package mqtt

// spoilsLoans makes End overwrite the lent payload, so that a taker which kept it without Kept fails its tests.
const spoilsLoans = true
