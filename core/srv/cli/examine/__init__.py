"""What `srv doctor` looks at: each module examines one thing and gives back findings."""
