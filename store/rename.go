package store

// RenameItems changes the ids of items wherever they are stored: in items, changes, predictions, buffered labels and
// events. The parameter ids maps each old id to the new one. The new ids must not be in use.
func (t *Tx) RenameItems(model string, ids map[string]string) error {
	if len(ids) == 0 {
		return nil
	}
	if err := t.exec(`create temp table if not exists renamed (old text primary key, new text not null)`); err != nil {
		return err
	}
	args := make([]any, 0, 2*len(ids))
	for from, to := range ids {
		args = append(args, from, to)
	}
	if err := t.insert(`insert into temp.renamed (old, new)`, 2, "", args); err != nil {
		return err
	}
	for _, column := range []struct{ table, name string }{
		{"items", "id"},
		{"changes", "item"},
		{"predictions", "item"},
		{"early", "item"},
		{"said", "item"},
		{"stated", "item"},
	} {
		err := t.exec(`update or replace `+column.table+` set `+column.name+` = (select new from temp.renamed where old = `+
			column.name+`)
			where model = ? and `+column.name+` in (select old from temp.renamed)`, model)
		if err != nil {
			return err
		}
	}
	return t.exec(`delete from temp.renamed`)
}

// TableKeys calls f with the id of each item, and whether the item is in the table.
func (t *Tx) TableKeys(model string, f func(id string, table bool)) error {
	return t.each(`select id, source = '' from items where model = ?`, []any{model}, func(scan func(...any) error) error {
		var id string
		var table bool
		if err := scan(&id, &table); err != nil {
			return err
		}
		f(id, table)
		return nil
	})
}
