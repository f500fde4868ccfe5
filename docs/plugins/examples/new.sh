sigra plugin new greeter
cd greeter
go test ./...
go build
