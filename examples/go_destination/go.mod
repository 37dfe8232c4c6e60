module example.com/go-events-destination

go 1.21
