module estiva/tests/clients/hello

go 1.21
