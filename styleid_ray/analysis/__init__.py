"""The paper's evidence on any model: a pair's attention, and the contribution of each part.

The main flow is `write.write_analysis`: one content and one style, stylised in this process with
the model's features watched, become figures (PNG), their numbers (JSON) and a page that shows them.
"""
