"""What a person may type: options, help texts and examples, one module a section of the overview."""
