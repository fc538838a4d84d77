package source

import (
	"context"

	"github.com/wellhead-io/wellhead/plugins/sql/database"
)

func (p *page) mirror(ctx context.Context, tx database.Tx, columns []database.Column) error {
	return nil
}
