//go:build !race

package mqtt

const spoilsLoans = false
