import Gateway

exitWith(Command.main(Array(CommandLine.arguments.dropFirst())))
