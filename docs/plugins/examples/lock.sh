sigra plugin lock greeter
