module codexctl.invalid/oracle

go 1.25
