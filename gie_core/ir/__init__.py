"""The intermediate representation: types, ops, graphs, text, verification, rewriting."""
