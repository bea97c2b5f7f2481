"""The paper's evidence on any model: where a pair's attention looks, and what each step adds.

The main flow is `write.write_analysis`: one content and one style, stylised in this process with
the model's features watched, become figures (PNG), their numbers (JSON) and a page that shows them.
"""
