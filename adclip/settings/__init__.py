"""What a setting is, and the settings that several commands share; those of one command stand in the room that uses them."""
