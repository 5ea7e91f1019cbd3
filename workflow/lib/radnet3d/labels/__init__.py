"""Labels with evidence, from headers or catalogue text.

`rules` reads the rules (data in workflow/resources/labels), `engine` applies them, `series` makes the label table,
`targets` derives the paper's heads from it, `scoring` and `census` say how good and how complete the labels are.
"""
