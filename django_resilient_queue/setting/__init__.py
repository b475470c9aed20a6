"""How one key of the settings is read and checked: a module for each kind of value."""
