package provision

import (
	"context"
	"errors"

	"github.com/tfbake/tfbake/internal/config"
)

func connectWinRM(ctx context.Context, c config.Communicator, t Target, log Log) (Communicator, error) {
	return nil, errors.New("winrm: not yet built")
}
