// Prints how go-dqlite's driver shows a row of NULLs: the values, then the columns' types by the answer.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"

	"github.com/canonical/go-dqlite/client"
	"github.com/canonical/go-dqlite/driver"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	store := client.NewInmemNodeStore()
	must(store.Set(context.Background(), []client.NodeInfo{{Address: os.Args[1]}}))
	dqlite, err := driver.New(store)
	must(err)
	sql.Register("dqlite", dqlite)
	db, err := sql.Open("dqlite", "app")
	must(err)
	for _, statement := range []string{
		"DROP TABLE IF EXISTS t",
		"CREATE TABLE t (i INTEGER, b BOOLEAN, d DATETIME)",
		"INSERT INTO t VALUES (NULL, NULL, NULL)",
	} {
		_, err := db.Exec(statement)
		must(err)
	}
	rows, err := db.Query("SELECT i, b, d FROM t")
	must(err)
	types, err := rows.ColumnTypes()
	must(err)
	for rows.Next() {
		var i, b, d any
		must(rows.Scan(&i, &b, &d))
		fmt.Print(i, b, d)
		for _, t := range types {
			fmt.Print(" ", t.DatabaseTypeName())
		}
		fmt.Println()
	}
	must(rows.Err())
}
