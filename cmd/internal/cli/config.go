package cli

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"mangrove/cmd/internal/config"
)

// Checks tells, by role, what is wrong with a configuration as a whole.
type Checks map[config.Role]func(*config.Config) error

// NewConfig is the command `config`, for the roles that have a check.
func NewConfig(name string, checks Checks) *cobra.Command {
	roles := slices.Sorted(maps.Keys(checks))
	slices.Reverse(roles) // edge first: there are more of them
	cmd := Group(&cobra.Command{
		Use:   "config",
		Short: "Check a configuration file, or print one to start from",
		Example: fmt.Sprintf("  %[1]s config default %[2]s > %[2]s.toml\n  %[1]s config check %[2]s.toml",
			name, roles[0]),
	})
	cmd.AddCommand(newConfigCheck(name, roles, checks), newConfigDefault(name, roles))
	return cmd
}

func newConfigCheck(name string, roles []config.Role, checks Checks) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Tell every fault of a configuration file; exit code 0 when there is none, else 1",
		Long: `Tell every fault of a configuration file, each with file, line and column.

Whose file it is follows from its role key, else from the keys it uses. Files it names
(certificates, passwords) are not opened. The exit code is 0 when there is no fault, else 1.`,
		Example: "  " + name + " config check /etc/mangrove/edge.toml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			role := roles[0]
			if len(roles) > 1 {
				var err error
				if role, err = config.RoleOf(args[0]); err != nil {
					return err
				}
			}
			c := config.New(role)
			if err := c.Load(args[0]); err != nil {
				return err
			}
			if err := checks[role](c); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: ok (%s)\n", args[0], role)
			return err
		},
	}
}

func newConfigDefault(name string, roles []config.Role) *cobra.Command {
	var words []string
	example := ""
	for _, r := range roles {
		words = append(words, string(r))
		example += fmt.Sprintf("  %[1]s config default %[2]s > %[2]s.toml\n", name, r)
	}
	use, number := "default ROLE", cobra.ExactArgs(1)
	if len(roles) == 1 { // it need not be said
		use, number = "default ["+words[0]+"]", cobra.MaximumNArgs(1)
		example = fmt.Sprintf("  %s config default > %s.toml\n", name, words[0])
	}
	return &cobra.Command{
		Use:       use,
		Short:     "Print a commented configuration file with every key at its default",
		Example:   example,
		ValidArgs: words,
		Args:      cobra.MatchAll(number, cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			return config.WriteDefault(cmd.OutOrStdout(), config.Role(slices.Concat(args, words)[0]), name)
		},
	}
}
