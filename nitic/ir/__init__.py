"""What programs are written in: functions, types, layouts, and the contract of an operator."""
